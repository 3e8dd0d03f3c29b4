"""The mitmproxy engine: every protocol.

TLS, flows and hooks are mitmproxy's, HTTP/2 is hyper-h2's with mitmproxy's buffers, HTTP/1.1 is `proxy.engines.http1`.

Its master asks for one addon, and with it come all of them, with a web framework, LDAP and more: a third of what the
process would import, none of which is ever called. So `mitmproxy.addons` is its folder alone here, whose modules are
imported one by one, by name.
"""

import sys
from importlib.util import find_spec
from types import ModuleType


def _addons() -> ModuleType:
    spec = find_spec("mitmproxy")
    package = ModuleType("mitmproxy.addons")
    package.__path__ = [f"{folder}/addons" for folder in (spec and spec.submodule_search_locations) or ()]
    return package


sys.modules.setdefault("mitmproxy.addons", _addons())
