"""Commands and events of ours in mitmproxy's layers: commands go up to the connection handler, events come down."""

from collections.abc import Awaitable
from dataclasses import dataclass

from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events

from proxy.passage import Passage


class Wait(commands.Command):
    """Wait for the rest of a hook that could not finish at once."""

    blocking = True

    def __init__(self, hook: commands.StartHook, rest: Awaitable[None]) -> None:
        self.hook = hook
        self.rest = rest


@dataclass(repr=False)
class WaitCompleted(events.CommandCompleted):  # type: ignore[no-untyped-call]
    """The hook is done."""

    command: Wait
    reply: None = None


class PassOver(commands.ConnectionCommand):
    """Give a client's connection, and what was read of it already, to a tunnel that is not looked into."""

    def __init__(self, connection: Connection, passage: Passage, rest: bytes) -> None:
        super().__init__(connection)
        self.passage = passage
        self.rest = rest


class Abort(commands.CloseConnection):
    """Drop a connection with a reset and throw away what was not sent yet."""


@dataclass
class Tick(events.Event):
    """The moment that a layer asked for with `Peer.wake` has come. `now` is the loop's clock."""

    now: float


class Relieved(events.Event):
    """Bytes were sent: whoever holds back acknowledgements for back-pressure may look again."""


class Onward(events.Event):
    """The next turn: who stopped because its time was spent goes on (see `Peer.spent`)."""


class Revoked(events.Event):
    """The store changed or was lost: whatever lives on needs its caller checked again."""
