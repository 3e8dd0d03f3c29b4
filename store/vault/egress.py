"""A dataset's egress list: `{"allow": [hosts], "default": "allow" | "deny"}`. Empty allows all."""

from collections.abc import Mapping, Sequence

from store.checks import problem
from store.hosts import normalise_host

MAX_HOSTS = 256


def check_egress(egress: Mapping[str, object]) -> dict[str, object]:
    """Check and normalise; raises `Invalid`."""
    if not egress:
        return {}
    if not set(egress) <= {"allow", "default"}:
        raise problem("/egress", "unknown_key", "An egress list has allow and default, nothing else.")
    default = egress.get("default", "deny" if "allow" in egress else "allow")
    if default not in {"allow", "deny"}:
        raise problem("/egress/default", "egress_invalid", "The default is allow or deny.")
    allow = egress.get("allow", [])
    if not isinstance(allow, Sequence) or isinstance(allow, str) or len(allow) > MAX_HOSTS:
        raise problem("/egress/allow", "egress_invalid", f"Write a list of at most {MAX_HOSTS} hosts.")
    return {"allow": [_host(host, f"/egress/allow/{index}") for index, host in enumerate(allow)], "default": default}


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
