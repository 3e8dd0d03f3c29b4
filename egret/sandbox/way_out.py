"""Where the sandbox's connections go: a session at a forward proxy."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class WayOut:
    """A proxy's address and a session's credentials for it; `tls` where the proxy itself is spoken to in TLS."""

    host: str
    port: int
    userinfo: str = field(repr=False)
    tls: bool = False

    @classmethod
    def of(cls, proxy_url: str) -> "WayOut":
        """Take it from a session's `proxy_url`."""
        parts = urlsplit(proxy_url)
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname or "", port, parts.netloc.rpartition("@")[0], tls)

    @property
    def token(self) -> str:
        """The session's token."""
        return unquote(self.userinfo.partition(":")[0])

    def inside(self, port: int) -> str:
        """Return the proxy's URL as the sandbox sees it, on a port of its own loopback."""
        return f"http://{self.userinfo}@127.0.0.1:{port}"
