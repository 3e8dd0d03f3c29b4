"""What APIs say that an answer cost, in whatever pieces it comes."""

import json

import pytest

from proxy.core.usage import MODELS, MOST, Tokens, Usage

CHAT = {"choices": [{"message": {"content": "Hi"}}], "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21, "prompt_tokens_details": {"cached_tokens": 4}}}  # fmt: skip
CLAUDE = {"content": [], "usage": {"input_tokens": 5, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 30, "service_tier": "standard"}}  # fmt: skip
GEMINI = {"candidates": [], "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 6, "totalTokenCount": 10}}


def sse(*documents):
    return b"".join(b"event: x\ndata: %s\n\n" % json.dumps(each).encode() for each in documents)


CLAUDE_STREAM = sse(
    {"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}},
    {"type": "content_block_delta", "delta": {"text": "Hello"}},
    {"type": "message_delta", "usage": {"output_tokens": 15}},
    {"type": "message_stop"},
)
CHAT_STREAM = sse(
    {"choices": [{"delta": {"content": "Hi"}}], "usage": None},
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}},
)
SAID = {
    "chat": (json.dumps(CHAT).encode(), 21),
    "indented": (json.dumps(CHAT, indent=2).encode(), 21),
    "anthropic": (json.dumps(CLAUDE).encode(), 38),
    "gemini": (json.dumps(GEMINI).encode(), 10),
    "anthropic stream": (CLAUDE_STREAM, 40),
    "chat stream": (CHAT_STREAM, 11),
    "responses stream": (sse({"type": "response.completed", "response": CLAUDE}), 38),
    "in a string": (json.dumps({"text": json.dumps(CHAT)}).encode(), 0),
    "written by a model": (json.dumps({"input": {"usage": {"total_tokens": 1}}, **CHAT}).encode(), 21),
    "no number": (b'{"usage": {"total_tokens": "9", "input_tokens": true, "output_tokens": -3}}', 0),
    "too large": (b'{"usage": {"total_tokens": %d}}' % 10**30, 0),
    "endless": (b'{"usage": {' + b"[" * 2 * MOST + b'"usage": {"total_tokens": 7}', 7),
    "nothing": (b'{"usage": "high", "id": 4}', 0),
}


@pytest.mark.parametrize("what", SAID)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_what_is_said_is_read(what, size):
    text, tokens = SAID[what]
    usage = Usage()
    for start in range(0, len(text), size):
        usage.feed(text[start : start + size])
    assert usage.tokens == tokens


def read(text, size=100_000):
    usage = Usage()
    for start in range(0, len(text), size):
        usage.feed(text[start : start + size])
    return usage


RESPONSES = {"model": "gpt-x", "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 60}, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 107}}  # fmt: skip
CACHED = {"model": "claude-x", "usage": {"input_tokens": 5, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 70, "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10}, "output_tokens": 3}}  # fmt: skip
THINKS = {"modelVersion": "gemini-x", "usageMetadata": {"promptTokenCount": 50, "cachedContentTokenCount": 20, "candidatesTokenCount": 6, "thoughtsTokenCount": 40, "totalTokenCount": 96}}  # fmt: skip
UNSAID = {"usageMetadata": {"promptTokenCount": 50, "candidatesTokenCount": 6, "totalTokenCount": 96}}
EMBEDDED = {"data": [], "model": "embed-x", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
CHEAPER = {"usage": {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 10**9}}}
KINDS = {
    "chat": (CHAT, Tokens(fresh=5, cached=4, output=12), []),
    "responses": (RESPONSES, Tokens(fresh=40, cached=60, output=7), ["gpt-x"]),
    "anthropic": (CACHED, Tokens(fresh=5, cached=70, written=20, kept=10, output=3), ["claude-x"]),
    "gemini": (THINKS, Tokens(fresh=30, cached=20, output=46), ["gemini-x"]),
    "thoughts that are not said": (UNSAID, Tokens(fresh=50, output=46), []),
    "embeddings": (EMBEDDED, Tokens(fresh=8), ["embed-x"]),
    "no prompt at all": ({"usage": {"total_tokens": 4}}, Tokens(output=4), []),
    "more from a cache than there is": (CHEAPER, Tokens(cached=10), []),
    "written by a model": ({"args": CHEAPER, **CHAT}, Tokens(fresh=5, cached=10, output=12), []),
    "two models": (
        {"args": {"model": "cheap"}, **RESPONSES},
        Tokens(fresh=40, cached=60, output=7),
        ["cheap", "gpt-x"],
    ),
    "a name in a string": ({"text": json.dumps(RESPONSES)}, Tokens(), []),
    "no name": ({"model": 4, "modelVersion": None}, Tokens(), []),
    "a name that is none": ({"model": "x" * 129}, Tokens(), []),
}


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_tokens_by_what_they_cost(what, size):
    """Each kind counts as its largest, and every model that is named is told: nothing written makes it cheaper."""
    document, split, models = KINDS[what]
    usage = read(json.dumps(document, indent=1).encode(), size)
    assert (usage.split, list(usage.models)) == (split, models)


def test_a_stream_says_it_in_pieces():
    """What was sent in its first event, what was written in its last."""
    usage = read(CLAUDE_STREAM)
    assert usage.split == Tokens(fresh=25, output=15)
    assert usage.split.at_least(30, 10) == Tokens(fresh=30, output=15)
    assert Tokens(cached=50).at_least(30, 10) == Tokens(cached=50, output=10)


def test_models_are_bounded():
    """Of too many it is not known which are meant: the last stands for one that nobody knows."""
    usage = read(b"".join(b'{"model": "m%d"}' % number for number in range(100)))
    assert list(usage.models) == [*(f"m{number}" for number in range(MODELS)), ""]


def test_what_is_kept_is_bounded():
    """Whatever an answer says without end."""
    usage = Usage()
    for _ in range(200):
        usage.feed(b'"usage":{"a":' * 100)
    assert len(usage._held) <= MOST + 1400
