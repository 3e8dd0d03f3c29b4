"""Where a captured connection was going, before it was redirected to us."""

import socket
import struct
from ipaddress import IPv6Address
from typing import Final

SO_ORIGINAL_DST: Final = 80
"""linux/netfilter_ipv4.h; IP6T_SO_ORIGINAL_DST is the same number."""


def destination(connection: socket.socket) -> tuple[str, int]:
    """Return address and port as the client wrote them; OSError when there is nothing to tell.

    A dual-stack listener has the IPv4 ones as mapped addresses: those are asked for at the IPv4 level.
    """
    local = connection.getsockname()[0]
    mapped = IPv6Address(local.split("%")[0]).ipv4_mapped if ":" in local else None
    if ":" in local and mapped is None:
        raw = connection.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack_from("!H", raw, 2)[0]
    raw = connection.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    return socket.inet_ntoa(raw[4:8]), struct.unpack_from("!H", raw, 2)[0]
