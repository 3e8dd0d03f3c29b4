"""The mitmproxy engine of one process: mitmproxy's master with one addon, on sockets that we accept from ourselves."""

import inspect
from collections.abc import Callable
from typing import Any

from mitmproxy import master, options
from mitmproxy.proxy.commands import StartHook

from proxy.engines.mitm import pins
from proxy.engines.mitm.addon import Addon


class Master(master.Master):
    """Runs hooks, and lets what they raise through: mitmproxy would write it to a log, and go on."""

    def __init__(self, addon: Addon) -> None:
        pins.check()
        chosen = options.Options()
        chosen.add_option("proxy_debug", bool, False, "")
        super().__init__(chosen)
        self._legacy_log_events.uninstall()
        self.addons.add(addon)  # type: ignore[no-untyped-call]
        self._functions: dict[str, tuple[Callable[[Any], Any], ...]] = {}

    def functions(self, name: str) -> tuple[Callable[[Any], Any], ...]:
        """Return the addons' functions for a hook; looked up once."""
        found = self._functions.get(name)
        if found is None:
            hooks = [getattr(addon, name, None) for addon in self.addons.chain]
            found = self._functions[name] = tuple([hook for hook in hooks if callable(hook)])
        return found

    async def ask(self, hook: StartHook) -> None:
        """Run a hook; raises whatever it raises."""
        (data,) = hook.args()
        for function in self._functions.get(hook.name) or self.functions(hook.name):
            result = function(data)
            if inspect.isawaitable(result):
                await result

    def ask_now(self, hook: StartHook) -> None:
        """Run a hook of a layer, which cannot wait; raises whatever it raises."""
        (data,) = hook.args()
        for function in self.functions(hook.name):
            if inspect.isawaitable(function(data)):
                raise TypeError
