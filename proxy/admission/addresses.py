"""Which addresses are the public internet: a table, and one question.

Source: the IANA special-purpose registries for IPv4 and IPv6, the cloud vendors' documentation for the metadata
addresses. IPv4 names what is refused. IPv6 names what is allowed (2000::/3, all that is assigned to be global today)
and what is refused inside it, so that an unknown range, or an unknown way to wrap an IPv4 address, is refused.
"""

import functools
import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SPECIAL: Final[dict[str, str]] = {
    "0.0.0.0/8": "unspecified",  # Linux dials loopback for 0.0.0.0
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.52.193.0/24": "AMT relay",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "255.255.255.255/32": "broadcast",
    # Named though they lie outside 2000::/3: the reason is worth a word, and the rest is "not global".
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::/96": "IPv4-compatible",
    "::ffff:0:0/96": "IPv4-mapped",
    "::ffff:0:0:0/96": "IPv4-translated",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "100::/64": "discard",
    "5f00::/16": "segment routing",
    "fc00::/7": "unique local",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
    "2001::/32": "Teredo",
    "2001::/23": "protocol assignments",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
}

METADATA: Final[dict[str, str]] = {
    "169.254.169.254": "AWS, Azure, GCP, Oracle, OpenStack metadata",
    "169.254.170.2": "AWS ECS credentials",
    "169.254.170.23": "AWS EKS pod identity",
    "169.254.169.253": "AWS DNS",
    "169.254.169.123": "AWS time",
    "fd00:ec2::254": "AWS metadata",
    "fd00:ec2::253": "AWS DNS",
    "fd00:ec2::23": "AWS EKS pod identity",
    "fd20:ce::254": "GCP metadata",
    "168.63.129.16": "Azure wire server",  # a public address by the registry
    "100.100.100.200": "Alibaba metadata",
    "192.0.0.192": "Oracle metadata",
}

_GLOBAL6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL = tuple((ipaddress.ip_network(text), why) for text, why in SPECIAL.items())
_METADATA = {ipaddress.ip_address(text): why for text, why in METADATA.items()}


@functools.lru_cache(maxsize=4096)
def fault(address: Address) -> str | None:
    """Return why an address is not the public internet, or None when it is."""
    if getattr(address, "scope_id", None):
        return "scoped"
    if address in _METADATA:
        return "metadata"
    for network, why in _SPECIAL:
        if address in network:
            return why
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL6:
        return "not global"
    # The standard library's registry is newer than ours on a newer Python.
    return None if address.is_global else "not global"


def exempt(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether the operator listed the address in `egress.allow_private`.

    A metadata address is exempt only when it is listed alone: `169.254.0.0/16` or `0.0.0.0/0` must not open the door
    to the machine's own credentials by accident. The unspecified address and scoped ones never are.
    """
    if address.is_unspecified or getattr(address, "scope_id", None):
        return False
    alone = address in _METADATA
    return any(address in network and not (alone and network.num_addresses > 1) for network in networks)
