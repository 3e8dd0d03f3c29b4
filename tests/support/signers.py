"""APIs whose requests are signed with an HMAC, as their documentation has them verified; shares nothing with what it judges."""

import base64
import hashlib
import hmac
import time

from draw import Draw
from upstream import Request

_DRAW = Draw("signers")
KEY_ID = _DRAW.letters(32)
TEXT = _DRAW.letters(40)
BASE64 = base64.b64encode(_DRAW.randbytes(48)).decode()
SECRETS = {
    "github": TEXT, "slack": TEXT, "stripe": TEXT, "standard_webhooks": "whsec_" + BASE64, "binance": TEXT, "bybit": TEXT,
    "coinbase_exchange": BASE64, "okx": TEXT,
}  # fmt: skip
KEYED = ("binance", "bybit", "coinbase_exchange", "okx")


def value(name: str) -> dict[str, str]:
    """What is stored of an API's key."""
    return {"secret": SECRETS[name], **({"key_id": KEY_ID} if name in KEYED else {})}


def placed(name: str, secret: str = "") -> tuple[list[str], str]:
    """Fields and query of a request that has the placeholder where the signature goes."""
    mark = "#{SECRETS.%s}" % (secret or name.upper())
    quoted = mark.replace("#{", "%23%7B").replace("}", "%7D")
    return {
        "github": ([f"X-Hub-Signature-256: sha256={mark}"], ""),
        "slack": ([f"X-Slack-Signature: {mark}", "X-Slack-Request-Timestamp: 1"], ""),
        "stripe": ([f"stripe-signature: t=1,v1={mark}"], ""),
        "standard_webhooks": ([f"Webhook-Signature: v1,{mark}", "Webhook-Id: msg_1"], ""),
        "binance": ([], f"timestamp=1&signature={quoted}"),
        "bybit": ([f"X-BAPI-SIGN: {mark}", "X-BAPI-RECV-WINDOW: 5000", "X_BAPI_TIMESTAMP: 1"], ""),
        "coinbase_exchange": ([f"CB-ACCESS-SIGN: {mark}", "CB-ACCESS-PASSPHRASE: any"], ""),
        "okx": ([f"OK-ACCESS-SIGN: {mark}"], ""),
    }[name]


def made(secret: bytes, text: bytes, how=hashlib.sha256) -> bytes:
    """The HMAC of a text."""
    return hmac.new(secret, text, how).digest()


def recent(seconds: float) -> bool:
    """Whether a server that allows a minute takes a time."""
    return abs(time.time() - seconds) < 60


def holds(name: str, request: Request) -> bool:
    """Whether a server of the API takes a request."""
    return len(ours := globals()["_" + name](request)) == 2 and hmac.compare_digest(*ours)


def _one(request: Request, name: str) -> bytes:
    found = request.all(name)
    assert len(found) == 1, (name, request.head)
    return found[0]


def _github(request):
    digest = made(TEXT.encode(), request.body).hex()
    return f"sha256={digest}".encode(), _one(request, "X-Hub-Signature-256")


def _slack(request):
    at = _one(request, "X-Slack-Request-Timestamp")
    assert recent(int(at))
    return b"v0=" + made(TEXT.encode(), b"v0:" + at + b":" + request.body).hex().encode(), _one(request, "X-Slack-Signature")  # fmt: skip


def _stripe(request):
    said = dict(part.split(b"=", 1) for part in _one(request, "Stripe-Signature").split(b","))
    assert recent(int(said[b"t"])) and len(said) == 2
    return made(TEXT.encode(), said[b"t"] + b"." + request.body).hex().encode(), said[b"v1"]


def _standard_webhooks(request):
    at = _one(request, "webhook-timestamp")
    assert recent(int(at))
    text = _one(request, "webhook-id") + b"." + at + b"." + request.body
    return b"v1," + base64.b64encode(made(base64.b64decode(BASE64), text)), _one(request, "webhook-signature")


def _binance(request):
    query, _, signature = request.target.partition(b"?")[2].rpartition(b"&signature=")
    said = [pair.split(b"=", 1) for pair in query.split(b"&") if pair.startswith(b"timestamp=")]
    assert len(said) == 1 and recent(int(said[0][1]) / 1000)
    assert _one(request, "X-MBX-APIKEY") == KEY_ID.encode()
    return made(TEXT.encode(), query + request.body).hex().encode(), signature


def _bybit(request):
    at = _one(request, "X-BAPI-TIMESTAMP")
    assert recent(int(at) / 1000) and b"X_BAPI" not in request.head
    text = at + _one(request, "X-BAPI-API-KEY") + _one(request, "X-BAPI-RECV-WINDOW")
    text += request.target.partition(b"?")[2] + request.body
    return made(TEXT.encode(), text).hex().encode(), _one(request, "X-BAPI-SIGN")


def _coinbase_exchange(request):
    at = _one(request, "CB-ACCESS-TIMESTAMP")
    assert recent(int(at)) and _one(request, "CB-ACCESS-KEY") == KEY_ID.encode()
    text = at + request.head.split(b" ")[0] + request.target + request.body
    return base64.b64encode(made(base64.b64decode(BASE64), text)), _one(request, "CB-ACCESS-SIGN")


def _okx(request):
    at = _one(request, "OK-ACCESS-TIMESTAMP")
    assert at.endswith(b"Z") and len(at) == len("2020-12-08T09:08:57.715Z")
    text = at + request.head.split(b" ")[0] + request.target + request.body
    return base64.b64encode(made(TEXT.encode(), text)), _one(request, "OK-ACCESS-SIGN")


def drawn(draw: Draw, name: str) -> tuple[str, str, list[str], bytes]:
    """A request of a client of the API, with the placeholder: method, target, fields, body."""
    method = draw.choice(("GET", "POST", "PUT", "DELETE"))
    fields, last = placed(name)
    query = draw.choice(("", "symbol=LTCBTC&side=BUY", "a=%2F&b=c+d&e", "=&&a", "x=1&x=2"))
    query = "&".join(filter(None, (query, last)))
    target = draw.choice(("/", "/api/v3/order", "/a%20b//c/../d", "/x;y=1/%C3%A9")) + (f"?{query}" if query else "")
    body = draw.choice((b"", b'{"a": "#{SECRETS.TEXT}"}', b"quantity=1&price=0.1", bytes(range(256)) * 9))
    return method, target, fields, body if method in {"POST", "PUT"} else b""
