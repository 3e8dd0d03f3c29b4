"""One request to a token endpoint: over verified TLS, on a connection of its own, bounded, no redirect followed.

Nothing of an answer leaves here but a token that is one, and how it ended.
"""

import time
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from proxy.border.lane import Answer, H1Lane, Key
from proxy.border.pool import Pool
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.core.trading import Answered, Asked, Unfit, read, refuses
from proxy.protocol import wire
from proxy.protocol.wire import with_length
from store.kinds import Credential
from store.model import Destination, Scope

PATIENCE: Final = 10.0
"""Seconds that making a token takes at most, with all that is tried again."""
PAUSES: Final = (0.25, 1.0)
"""Seconds before it is tried again, after what may pass."""
EARLY: Final = 300.0
"""Seconds before its end from which on a token is renewed, or a fifth of its life."""
MOST: Final = 64 << 10
"""Bytes of an answer's head, and of its body."""
_INTERIM: Final = 8
_TOO_MANY: Final = 429
_LONGEST_WAIT: Final = 600


class Passing(Exception):
    """It may be otherwise in a moment. `after`: seconds that the endpoint asks for, if it does."""

    def __init__(self, after: int = 0) -> None:
        super().__init__()
        self.after = after


def times(answered: Answered, began: float) -> tuple[int, int, int]:
    """Return when a token was made, is renewed and ends, in Unix seconds; `began`: when it was asked for."""
    early = min(EARLY, answered.seconds / 5)
    return int(began), int(began + answered.seconds - early), int(began + answered.seconds)


class Said(NamedTuple):
    """An endpoint's answer. It may hold what is secret."""

    status: int
    fields: Fields
    body: bytes

    def __repr__(self) -> str:
        return "Said(…)"

    @property
    def passes(self) -> bool:
        """Whether it is no answer yet: it may be otherwise in a moment."""
        return self.status >= 500 or self.status == _TOO_MANY

    @property
    def after(self) -> int:
        """Seconds that it asks for, if it does."""
        said = wire.values(self.fields, b"retry-after")
        return min(int(said[0][:4]), _LONGEST_WAIT) if said and said[0].isdigit() else 0


async def call(pool: Pool, scope: Scope, endpoint: Destination, asked: Asked, credential: Credential) -> Answered:
    """Ask for a token; raises `Passing`, `Refused`."""
    said = await post(pool, scope, endpoint, asked, {200, 201})
    if said.passes:
        raise Passing(said.after)
    if refuses(credential, said.status):
        raise Refused(Refusal("token_refused"))
    try:
        return read(credential, said.status, said.body, time.time())
    except Unfit:
        raise Refused(Refusal("token_unavailable")) from None


async def post(  # noqa: PLR0917
    pool: Pool,
    scope: Scope,
    endpoint: Destination,
    asked: Asked,
    whole: Collection[int],
    leaves: Callable[[], object] = bool,
) -> Said:
    """Ask once, and return the answer, with the body of one whose status is in `whole`; raises `Passing`, `Refused`.

    `leaves` is called right before the request does.
    """
    try:
        up = await pool.dial(Key(scope, endpoint))
    except Refused as refused:
        code = refused.refusal.code
        if code == "upstream_unreachable":
            raise Passing from None
        code = "token_blocked" if code == "destination_blocked" else "token_unavailable"
        raise Refused(Refusal(code)) from None
    lane = H1Lane(up, Key(scope, endpoint))
    try:
        leaves()
        _send(lane, endpoint, asked)
        answer = await _head(lane)
        return Said(answer.status, answer.fields, await _body(lane, answer) if answer.status in whole else b"")
    except Refused:  # the connection, or what is no HTTP
        raise Passing from None
    except wire.Malformed:
        raise Refused(Refusal("token_unavailable")) from None
    finally:
        lane.release(whole=False)


def _send(lane: H1Lane, endpoint: Destination, asked: Asked) -> None:
    host = str(endpoint).encode()
    fields: Fields = ((b"Host", host), (b"User-Agent", b"egret"), (b"Accept-Encoding", b"identity"), *asked.fields)
    lane.start()
    lane.begin("POST", asked.target, with_length(fields, len(asked.body)), len(asked.body), websocket=False)
    lane.data(asked.body)
    lane.end(())
    lane.flush()


async def _head(lane: H1Lane) -> Answer:
    for _ in range(_INTERIM):
        answer = await lane.head(MOST)
        if answer.status >= 200:
            return answer
    raise wire.Malformed("interim answers")


async def _body(lane: H1Lane, answer: Answer) -> bytes:
    """Return all of a body; raises `wire.Malformed` for one that is too long, or encoded though that was not asked."""
    if wire.values(answer.fields, b"content-encoding") or answer.length > MOST:
        raise wire.Malformed("body")
    body = bytearray()
    while True:
        for piece in lane.body.take():
            body += piece
            if len(body) > MOST:
                raise wire.Malformed("body")
        if lane.body.ended:
            return bytes(body)
        await lane.more()
