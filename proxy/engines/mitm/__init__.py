"""The mitmproxy engine: every protocol.

TLS, flows and hooks are mitmproxy's, HTTP/2 is hyper-h2's with mitmproxy's buffers, HTTP/1.1 is `proxy.engines.http1`.

Its master asks for one addon, and with it come all of them, with a web framework, LDAP and more; and who asks for TLS
or HTTP/2 gets every layer, with QUIC and HTTP/3. That is half of what the process would import, and none of it is ever
called. So those packages are their folders alone here, whose modules are imported one by one, by name.
"""

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Final

_FOLDERS: Final = ("addons", "proxy/layers", "proxy/layers/http")


def _alone(folder: str, homes: list[str]) -> ModuleType:
    package = ModuleType(f"mitmproxy.{folder.replace('/', '.')}")
    package.__path__ = [f"{home}/{folder}" for home in homes]
    return package


def _install() -> None:
    spec = find_spec("mitmproxy")
    homes = list((spec and spec.submodule_search_locations) or ())
    for package in (_alone(folder, homes) for folder in _FOLDERS):
        sys.modules.setdefault(package.__name__, package)


_install()
