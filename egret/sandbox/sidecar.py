"""The network of `egret run` for a namespace that others made: a pod's, whose containers share it.

A container that may (NET_ADMIN) sets the rules once, before the code is there. A second one, of a user of its own whom
the rules spare, serves what they redirect. The code's container needs nothing, has no capability, and could go past
the rules only as that user.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from egret.sandbox import namespace
from egret.sandbox.capture import Capture
from egret.sandbox.namespace import CAPTURE, DNS, Listeners
from egret.sandbox.way_out import WayOut

TABLE: Final = "table inet egret"


def rules(user: int) -> str:
    """Return the rules, which spare this user; what an earlier start of the pod set is replaced in the same step."""
    spared = namespace.RULES.replace("priority -100;", f"priority -100;\n    meta skuid {user} accept")
    spared = spared.replace("priority 0;", f"priority 0;\n    meta skuid {user} accept")
    return f"{TABLE}\ndelete {TABLE}\n{spared}"


def serve(proxy_url: str, say: Callable[[str], None]) -> None:
    """Serve what is redirected, through a session's `proxy_url`, until SIGTERM. Raises OSError for a taken port.

    On loopback alone, which is where a redirection leads: other pods have no way in.
    """
    hosts = ["127.0.0.1", "::1"] if namespace.has_ipv6() else ["127.0.0.1"]
    listeners = Listeners(
        None,
        [namespace.listen(host, CAPTURE) for host in hosts],
        [namespace.datagrams(host) for host in hosts],
        [namespace.listen(host, DNS) for host in hosts],
    )
    asyncio.run(_serve(WayOut.of(proxy_url), listeners, say))


async def _serve(way_out: WayOut, listeners: Listeners, say: Callable[[str], None]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    Capture(way_out, say).start(listeners)
    say("sidecar: ready")
    await ended.wait()
