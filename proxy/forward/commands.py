"""Commands and events of ours in mitmproxy's layers: commands go up to the connection handler, events come down."""

from dataclasses import dataclass

from mitmproxy.proxy import commands, events


class Abort(commands.CloseConnection):
    """Drop a connection with a reset and throw away what was not sent yet."""


@dataclass
class Tick(events.Event):
    """The moment that a layer asked for with `Peer.wake` has come. `now` is the loop's clock."""

    now: float


class Relieved(events.Event):
    """Bytes were sent: whoever holds back acknowledgements for back-pressure may look again."""


class Revoked(events.Event):
    """The store changed or was lost: whatever lives on needs its caller checked again."""
