"""A dataset's egress list: `{"allow": [hosts], "default": "allow" | "deny", "scrub_hosts": [hosts]}`. Empty allows all.

`scrub_hosts` name hosts whose answers are searched for every value, beside those that a value's own rules reach. They
stand in this document because it is signed already, and says what the dataset's code meets outside.
"""

from collections.abc import Mapping, Sequence

from store.checks import problem
from store.hosts import normalise_host, too_wide

MAX_HOSTS = 256


def check_egress(egress: Mapping[str, object]) -> dict[str, object]:
    """Check and normalise; raises `Invalid`."""
    if not egress:
        return {}
    if not set(egress) <= {"allow", "default", "scrub_hosts"}:
        raise problem("/egress", "unknown_key", "An egress list has allow, default and scrub_hosts, nothing else.")
    default = egress.get("default", "deny" if "allow" in egress else "allow")
    if default not in {"allow", "deny"}:
        raise problem("/egress/default", "egress_invalid", "The default is allow or deny.")
    allow = egress.get("allow", [])
    if not isinstance(allow, Sequence) or isinstance(allow, str) or len(allow) > MAX_HOSTS:
        raise problem("/egress/allow", "egress_invalid", f"Write a list of at most {MAX_HOSTS} hosts.")
    checked: dict[str, object] = {
        "allow": [_host(host, f"/egress/allow/{index}") for index, host in enumerate(allow)],
        "default": default,
    }
    scrub = egress.get("scrub_hosts", [])
    if not isinstance(scrub, Sequence) or isinstance(scrub, str) or len(scrub) > MAX_HOSTS:
        raise problem("/egress/scrub_hosts", "egress_invalid", f"Write a list of at most {MAX_HOSTS} hosts.")
    return {**checked, "scrub_hosts": [_name(host, index) for index, host in enumerate(scrub)]} if scrub else checked


def _name(host: object, index: int) -> str:
    """Give `name` or `*.name`; answers are searched on every port."""
    found = _host(host, f"/egress/scrub_hosts/{index}")
    wild = found.startswith("*.")
    name = normalise_host(found[2:] if wild else found)
    if not name or (wild and too_wide(name)):
        hint = 'Write a host such as "api.example.com" or "*.example.com", without a port.'
        raise problem(f"/egress/scrub_hosts/{index}", "host_invalid", hint)
    return ("*." if wild else "") + name


def _host(host: object, pointer: str) -> str:
    """Give `name`, `*.name`, either with `:port`, in one spelling."""
    text = host if isinstance(host, str) else ""
    name, port = text, ""
    if not text.endswith("]") and text.rpartition(":")[2].isdigit():
        name, _, port = text.rpartition(":")
    wild = name.startswith("*.")
    normal = normalise_host(name.removeprefix("*."))
    if not normal or (port and not 1 <= int(port) <= 65535):
        raise problem(
            pointer,
            "host_invalid",
            'Write a host such as "api.example.com", "*.example.com" or "api.example.com:8443".',
        )
    bare = f"[{normal}]" if ":" in normal else normal
    return ("*." if wild else "") + bare + (f":{port}" if port else "")
