"""The proxy of the environment for the libraries that go past it: aiohttp without trust_env, urllib3 by itself.

Loaded when one of them is imported (egret_shims_hook). Which hosts are exempt is the standard library's reading of
NO_PROXY. A program that names a proxy itself, or connects over a Unix socket, is left alone.
"""

import functools
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment


def proxy_for(url):
    """Return the URL of the HTTP proxy for a URL, or None: go direct."""
    parts = urlsplit(url)
    proxies = getproxies_environment()
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or not parts.hostname or proxy_bypass_environment(parts.netloc.rpartition("@")[2], proxies):
        return None
    proxy = proxy if "://" in proxy else "http://" + proxy
    return proxy if urlsplit(proxy).scheme in ("http", "https") else None


def patch(module):
    """Patch one of the libraries; one that was patched already, or that looks different, is left as it is."""
    owner, name, wrap = {
        "aiohttp": (getattr(module, "ClientSession", None), "_request", _aiohttp),
        "urllib3": (getattr(module, "PoolManager", None), "urlopen", _urllib3),
    }[module.__name__]
    function = getattr(owner, name, None)
    if function is not None and not hasattr(function, "_egret_proxy"):
        wrapped = functools.wraps(function)(wrap(module, function))
        wrapped._egret_proxy = True
        setattr(owner, name, wrapped)


def _aiohttp(module, function):
    # trust_env=True would do less and more: no proxy for wss://, and passwords out of ~/.netrc.
    def _request(self, method, str_or_url, **kwargs):
        own = kwargs.get("proxy") or getattr(self, "_default_proxy", None) or getattr(self, "_trust_env", False)
        if not own and isinstance(self.connector, module.TCPConnector):
            url = self._build_url(str_or_url)
            proxy = proxy_for(str(url))
            if proxy:
                kwargs["proxy"] = proxy
                # aiohttp would ask the proxy for a ws:// address, which no proxy knows.
                str_or_url = url.with_scheme("http") if url.scheme == "ws" else str_or_url
        return function(self, method, str_or_url, **kwargs)

    return _request


def _urllib3(module, function):
    def urlopen(self, method, url, *args, **kwargs):
        proxy = proxy_for(url) if getattr(self, "proxy", self) is None else None
        if not proxy:
            return function(self, method, url, *args, **kwargs)
        return _manager(module, self, proxy).urlopen(method, url, *args, **kwargs)

    return urlopen


def _manager(module, pools, proxy):
    """Return the proxied twin of a PoolManager: same settings, connections of its own."""
    twins = vars(pools).setdefault("_egret_twins", {})
    if proxy not in twins:
        parts = urlsplit(proxy)
        pair = unquote(parts.username or "") + ":" + unquote(parts.password or "")
        headers = None if pair == ":" else module.make_headers(proxy_basic_auth=pair)
        twins[proxy] = module.ProxyManager(
            proxy, headers=pools.headers, proxy_headers=headers, **pools.connection_pool_kw
        )
    return twins[proxy]
