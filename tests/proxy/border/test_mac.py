"""Signatures by a template are those of each API's documentation, over what leaves; nothing of the client's stands beside them."""

import asyncio
import json

import pytest
import signers
from draw import Draw
from names import Known, Names
from upstream import Request

from proxy.border import mac
from proxy.core import inject
from proxy.core.message import Head
from proxy.core.refusal import Refused
from store.credential import parse_credential
from store.model import Destination
from store.templates import KNOWN

HOST = Destination(True, "api.example.com", 443)
SLACK = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"  # fmt: skip
BINANCE = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
ORDER = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
QUOTED = "%23%7BSECRETS.KEY%7D"


def sent(parameters, value, target="/", fields=(), body=b"", *, now=0.0, method="POST"):
    """What leaves, given what a client sends: target and fields."""
    known = Known("KEY", json.dumps(value).encode(), (HOST,), credential=parse_credential("hmac", parameters))
    text = Known("TEXT", b"va lue/1", (HOST,))
    head = Head(method, target.encode(), tuple(fields), HOST)
    plan = inject.plan(head, Names([known, text]))

    async def whole(update):
        update(body[:5])
        update(body[5:])

    written = plan.write(head)
    made = asyncio.run(mac.made(plan.signing, method, *written, whole if body else None, now))
    assert value["secret"] not in repr(plan) + repr(made)
    return mac.written(plan.signing, made, *written)


def refusal(*args, **more):
    with pytest.raises(Refused) as caught:
        sent(*args, **more)
    return caught.value.refusal.code, caught.value.refusal.secret


def test_documented_examples():
    """GitHub, Slack, Standard Webhooks and Binance publish a secret, a request and its signature."""
    mark = b"#{SECRETS.KEY}"
    secret = {"secret": "It's a Secret to Everybody"}
    _, fields = sent({"template": "github"}, secret, fields=[(b"X-Hub-Signature-256", mark)], body=b"Hello, World!")
    assert fields == ((b"X-Hub-Signature-256", b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),)  # fmt: skip
    secret = {"secret": "8f742231b10e8888abcd99yyyzzz85a5"}
    _, fields = sent({"template": "slack"}, secret, fields=[(b"X-Slack-Signature", mark)], body=SLACK, now=1531420618.9)
    assert dict(fields) == {
        b"X-Slack-Request-Timestamp": b"1531420618",
        b"X-Slack-Signature": b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    secret = {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    given = [(b"webhook-id", b"msg_p5jXN8AQM9LWM0D4loKWxJek"), (b"webhook-signature", mark)]
    _, fields = sent({"template": "standard_webhooks"}, secret, fields=given, body=b'{"test": 2432232314}', now=1614265330)  # fmt: skip
    assert dict(fields)[b"webhook-signature"] == b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert dict(fields)[b"webhook-timestamp"] == b"1614265330"


@pytest.mark.parametrize(
    ("query", "body", "signature"),
    [
        (f"{ORDER}&quantity=1&price=0.1&recvWindow=5000", "", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
    ],
)  # fmt: skip
def test_binances_example(query, body, signature):
    """The query as it leaves, with the time in milliseconds at its end, and the signature behind it."""
    value = {"key_id": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A", "secret": BINANCE}
    target, fields = sent({"template": "binance"}, value, f"/api/v3/order?{query}&signature={QUOTED}", body=body.encode(), now=1499827319.559)  # fmt: skip
    assert target.decode() == f"/api/v3/order?{query}&timestamp=1499827319559&signature={signature}"
    assert fields == ((b"X-MBX-APIKEY", value["key_id"].encode()),)


@pytest.mark.parametrize("name", KNOWN)
def test_generated_requests(name):
    """A hundred of each API: what leaves is taken by a server that follows the API's documentation."""
    draw = Draw(f"mac {name}")
    for _ in range(100):
        method, target, fields, body = signers.drawn(draw, name)
        pairs = [tuple(line.replace(name.upper(), "KEY").encode().split(b": ", 1)) for line in fields]
        now = signers.time.time()
        target = target.replace(name.upper(), "KEY")
        target, left = sent({"template": name}, signers.value(name), target, pairs, body, method=method, now=now)
        head = b"\r\n".join([b" ".join((method.encode(), target, b"HTTP/1.1")), *[b": ".join(pair) for pair in left]])
        assert signers.holds(name, Request(head, body, b"")), head
        assert b"SECRETS" not in head and signers.SECRETS[name].encode() not in head


FULL = {"payload": ["method", "newline", "path", "text:|", "query", "text:|", "header:X-A", "body"], "signature_in": "query:sig", "timestamp_in": "query:ts", "algorithm": "sha512", "encoding": "base64url", "format": ["text:v=", "signature"]}  # fmt: skip


def test_a_template_of_ones_own():
    """Parts in their order; other secrets of the head are written first, and what is signed is what leaves."""
    target, fields = sent(
        FULL, {"secret": signers.TEXT}, "/a/%23%7BSECRETS.TEXT%7D?sig=" + QUOTED + "&q=1",
        [(b"X-A", b" #{SECRETS.TEXT}. ")], b"body", now=7.9, method="PUT",
    )  # fmt: skip
    path, _, query = target.partition(b"?")
    assert path == b"/a/va%20lue%2F1" and fields == ((b"X-A", b" va lue/1. "),)
    said, _, signature = query.partition(b"&sig=v%3D")
    assert said == b"q=1&ts=7"
    text = b"PUT\n" + path + b"|" + said + b"|va lue/1.body"
    how = signers.hashlib.sha512
    expected = signers.base64.urlsafe_b64encode(signers.made(signers.TEXT.encode(), text, how))
    assert signature == expected.replace(b"=", b"%3D")


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/?a=1&ts=99&sig=" + QUOTED, ()),
        ("/?TS=99&a=1&sig=" + QUOTED, ()),
        ("/?%74s=99&a=1&%73ig=zz&sig=" + QUOTED, ()),
        ("/?ts&a=1&ts=&sig=x&sig=" + QUOTED, ()),
    ],
)
def test_time_and_signature_are_ours(target, fields):
    """However the client spells the parameter: a server reads one time and one signature, and they are ours."""
    target, _ = sent(FULL, {"secret": signers.TEXT}, target, fields, now=7, method="PUT")
    assert target.startswith(b"/?a=1&ts=7&sig=v%3D") and target.count(b"&") == 2
    parameters = {**FULL, "signature_in": "header:X-Sig", "timestamp_in": "header:X-Time"}
    given = [(b"x_time", b"99"), (b"X-TIME", b"98"), (b"X_Sig", b"zz"), (b"X-Sig", b"#{SECRETS.KEY}"), (b"B", b"1")]
    _, left = sent(parameters, {"secret": signers.TEXT}, "/", given, now=7)
    assert [name for name, _ in left] == [b"B", b"X-Time", b"X-Sig"] and left[1][1] == b"7"


def test_a_client_that_signs_by_itself():
    """One that takes the placeholder as key id and any secret: its signature is made anew; without one, it has the id alone."""
    value, given = signers.value("binance"), [(b"X-MBX-APIKEY", b"#{SECRETS.KEY}")]
    target, fields = sent({"template": "binance"}, value, "/o?a=1&timestamp=5&signature=" + "0" * 64, given, now=9, method="GET")  # fmt: skip
    assert target.startswith(b"/o?a=1&timestamp=9000&signature=") and b"0" * 64 not in target
    assert fields == ((b"X-MBX-APIKEY", signers.KEY_ID.encode()),)
    both = sent({"template": "binance"}, value, f"/o?a=1&signature={QUOTED}", given, now=9, method="GET")
    assert both == (target, fields)
    assert sent({"template": "binance"}, value, "/ping?a=1", given, method="GET") == (b"/ping?a=1", fields)


def test_what_is_refused():
    """The placeholder elsewhere, twice, a signed field twice, a value that its client sealed wrongly: each in its word."""
    value, here = {"secret": signers.TEXT}, f"/?sig={QUOTED}"
    for target, fields in (
        (f"/?a={QUOTED}", ()),
        (f"/?xsig={QUOTED}", ()),
        (f"/?%73ig={QUOTED}", ()),
        (f"/?sig=a{QUOTED}", ()),
        (f"/{QUOTED}", ()),
        (f"{here}&a={QUOTED}", ()),
        (f"{here}&sig={QUOTED}.{QUOTED}", ()),
        (f"/{QUOTED}?sig={QUOTED}", ()),
        ("/", [(b"Sig", b"#{SECRETS.KEY}")]),
        ("/", [(b"Authorization", b"Basic OiN7U0VDUkVUUy5LRVl9")]),
    ):
        assert refusal(FULL, value, target, fields) == ("signing_key_misplaced", "KEY"), target
    twice = [(b"X-A", b"1"), (b"x_a", b"2")]
    assert refusal(FULL, value, here, twice) == ("signature_malformed", "KEY")
    for wrong in ({"secret": signers.TEXT, "x": "y"}, {"secret": "short"}):
        assert refusal(FULL, wrong, here) == ("value_not_encodable", "KEY")
    assert refusal({"template": "okx"}, value, fields=[(b"OK-ACCESS-SIGN", b"#{SECRETS.KEY}")]) == ("value_not_encodable", "KEY")  # fmt: skip
    wrong = {"secret": "not base64!", "key_id": "k"}
    assert refusal({"template": "coinbase_exchange"}, wrong, fields=[(b"CB-ACCESS-SIGN", b"#{SECRETS.KEY}")]) == ("value_not_encodable", "KEY")  # fmt: skip
    known = [Known(name, json.dumps(value).encode(), (HOST,), credential=parse_credential("hmac", {"template": each})) for name, each in (("A", "github"), ("B", "stripe"))]  # fmt: skip
    head = Head("GET", b"/", ((b"X-Hub-Signature-256", b"#{SECRETS.A}"), (b"Stripe-Signature", b"#{SECRETS.B}")), HOST)
    with pytest.raises(Refused) as caught:
        inject.plan(head, Names(known))
    assert caught.value.refusal.code == "signature_malformed"
    with pytest.raises(Refused) as caught:
        inject.plan(head, Names(known), before=head)
    assert caught.value.refusal.code == "signing_key_misplaced"
