"""What APIs say that an answer cost, in whatever pieces it comes."""

import json

import pytest

from proxy.core.usage import MOST, Usage

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


def test_what_is_kept_is_bounded():
    """Whatever an answer says without end."""
    usage = Usage()
    for _ in range(200):
        usage.feed(b'"usage":{"a":' * 100)
    assert len(usage._held) <= MOST + 1400
