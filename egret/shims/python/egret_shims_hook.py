"""A placeholder in a URL reaches the wire: `#{SECRETS.X}` becomes `%23%7BSECRETS.X%7D` before any parser sees it.

Each library is patched when the program itself imports it, at the one place where its URLs are parsed (POINTS), so a
program that imports none pays for one entry of sys.meta_path. Nothing but `sys`, `os` and `_thread` is imported at
start. A library that is absent, or looks different in the version at hand, is left as it is. What holds no placeholder
is passed on as the very object it was.

Where a proxy is set, the libraries that ignore it are taken there as well (egret_shims_proxy), and those that bring
roots of their own trust SSL_CERT_FILE. EGRET_SHIMS=urls leaves both alone, EGRET_SHIMS=off does nothing at all. Runs
on Python 3.7 and later, and needs nothing of Egret's: copy these files and `egret_shims.pth` into the site-packages of
an interpreter to have it without PYTHONPATH.
"""

import os
import sys
from _thread import get_ident

POINTS = {
    # module: (attribute, position of the URL, its keyword); where the position is None, the URL is what is returned
    "curl_cffi.requests": (("Session.request", 2, "url"), ("AsyncSession.request", 2, "url")),
    "http.client": (("HTTPConnection.putrequest", 2, "url"),),
    "httpcore": (("URL.__init__", 1, "url"),),
    "httpcore2": (("URL.__init__", 1, "url"),),
    "httpx": (("URL.__init__", 1, "url"),),
    "httpx2": (("URL.__init__", 1, "url"),),
    "niquests": (("PreparedRequest.prepare_url", 1, "url"), ("Session.get_redirect_target", None, "")),
    "requests": (("PreparedRequest.prepare_url", 1, "url"), ("Session.get_redirect_target", None, "")),
    "tornado.httpclient": (("HTTPRequest.__init__", 1, "url"),),
    "urllib.request": (("Request.__init__", 1, "url"),),
    "urllib3": (("PoolManager.urlopen", 2, "url"), ("HTTPConnectionPool.urlopen", 2, "url")),
    "urllib3.util.url": (("parse_url", 0, "url"),),
    "websocket._url": (("parse_url", 0, "url"),),
    "websockets.uri": (("parse_uri", 0, "uri"),),
    "yarl": (("URL.__new__", 1, "val"),),
}
PROXIED = ("aiohttp", "urllib3")  # as egret_shims_proxy has a function for each
TRUSTING = ("certifi.core", "stripe")  # they bring roots of their own, and no variable says otherwise

_compiled = []


def map_url(url):
    """Return the URL, text or bytes, with its placeholders in the portable spelling; anything else as it is."""
    if isinstance(url, str):
        return _substitute(url) if "SECRETS." in url or "VARS." in url else url
    if isinstance(url, bytes) and (b"SECRETS." in url or b"VARS." in url):
        return _substitute(url.decode("latin-1")).encode("latin-1")
    return url


def _substitute(url):
    if not _compiled:
        import re

        name = r"((?:SECRETS|VARS)\.[A-Z][A-Z0-9_]{0,127})"
        curly, angled = r"(?:\{|%7[Bb])" + name + r"(?:\}|%7[Dd])", r"(?:<|%3[Cc])" + name + r"(?:>|%3[Ee])"
        _compiled.append(re.compile("(?:#|%23)(?:" + curly + "|" + angled + ")"))
        _compiled.append(re.compile(r"[\0-\x20]*(?:blob|data|file|javascript|mailto):", re.IGNORECASE))
    placeholder, opaque = _compiled
    if opaque.match(url):  # never sent as a request target: not ours
        return url
    return placeholder.sub(lambda found: "%23%7B" + (found.group(1) or found.group(2)) + "%7D", url)


def _wrap(function, position, keyword):
    import functools

    @functools.wraps(function)
    def mapped(*args, **kwargs):
        if position is None:
            return map_url(function(*args, **kwargs))
        if len(args) > position:
            args = (*args[:position], map_url(args[position]), *args[position + 1 :])
        elif keyword in kwargs:
            kwargs[keyword] = map_url(kwargs[keyword])
        return function(*args, **kwargs)

    return mapped


def _patch(module, path, position, keyword):
    owner = module
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part, None)
        if not isinstance(owner, type):
            return
    if classes:  # where it is defined, which may be a base class
        owner = next((base for base in owner.__mro__ if name in vars(base)), object)
    found = vars(owner).get(name)
    function = getattr(found, "__func__", found)
    if owner is object or not callable(function) or hasattr(function, "_egret"):
        return
    mapped = _wrap(function, position, keyword)
    mapped._egret = True
    setattr(owner, name, staticmethod(mapped) if isinstance(found, staticmethod) else mapped)
    if not classes:
        _replace_copies(function, mapped)


def _replace_copies(function, mapped):
    """Reach who imported the function by name before it was patched."""
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None) or {}
        if names.get(function.__name__) is function:
            names[function.__name__] = mapped


def _patch_module(module):
    """Patch a module that has just run. Never raises: the program's import must end as it would have."""
    name = module.__name__
    try:
        if "urls" in _wanted():
            for point in POINTS.get(name, ()):
                _patch(module, *point)
        if name in PROXIED and "proxy" in _wanted():
            _proxy_shim().patch(module)
        if name in TRUSTING and "proxy" in _wanted():
            _trust(module)
    except Exception as error:
        _say("%s is used as it is" % name, error)


def _trust(module):
    """Have it trust what OpenSSL is told to: SSL_CERT_FILE, where that names a file."""
    if module.__name__ == "stripe":
        module.ca_bundle_path = _bundle() or module.ca_bundle_path
        return
    where, contents = module.where, module.contents

    def told_where():
        return _bundle() or where()

    def told_contents():
        if not _bundle():
            return contents()
        with open(_bundle(), encoding="utf-8", errors="replace") as file:
            return file.read()

    module.where, module.contents = told_where, told_contents
    _replace_copies(where, told_where)
    _replace_copies(contents, told_contents)


def _bundle():
    path = os.environ.get("SSL_CERT_FILE") or ""
    return path if os.path.isfile(path) else ""


def _proxy_shim():
    """Import the file beside this one; its folder is no longer on sys.path."""
    name = "egret_shims_proxy"
    if name not in sys.modules:
        from importlib.util import module_from_spec, spec_from_file_location

        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
        spec = spec_from_file_location(name, path)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


def _wanted():
    return os.environ.get("EGRET_SHIMS") or "urls,proxy"


def _complete_credentials(environ):
    """Put a password behind a session's token in the proxy variables: urllib drops a user name that has none.

    Egret reads the user name only.
    """
    for name in [name for name in environ if name.lower().endswith("_proxy")]:
        scheme, at, rest = environ[name].partition("://egs_")
        user, sign, host = rest.partition("@")
        if at and sign and not user.partition(":")[2]:
            environ[name] = scheme + at + user.rstrip(":") + ":egret@" + host


def _say(what, error):
    if sys.stderr is not None:
        sys.stderr.write("egret: the Python shim: %s: %s: %s\n" % (what, type(error).__name__, error))


class Finder:
    """Stands first on sys.meta_path, finds nothing by itself, and follows up on the modules in POINTS."""

    def __init__(self):
        self._asking = set()

    def find_spec(self, name, path=None, target=None):
        """Let the other finders find it, and have it patched when it has run."""
        if name not in POINTS and name not in PROXIED and name not in TRUSTING:
            return None
        ours = (get_ident(), name)
        if ours in self._asking:  # one of the others is us again, in a wrapper (Mercurial's lazy imports)
            return None
        self._asking.add(ours)
        try:
            for finder in sys.meta_path:
                find = getattr(finder, "find_spec", None)
                spec = find(name, path, target) if find and finder is not self else None
                if spec is not None:
                    _follow_up(spec.loader)
                    return spec
            return None
        finally:
            self._asking.discard(ours)


def _follow_up(loader):
    # Frozen and built-in loaders are classes, shared by all modules: theirs are never in POINTS, and are not touched.
    if isinstance(loader, type) or not hasattr(loader, "exec_module") or not hasattr(loader, "__dict__"):
        return

    def exec_module(module):
        loader.__dict__.pop("exec_module", None)
        loader.exec_module(module)
        _patch_module(module)

    loader.exec_module = exec_module


def install():
    """Install the hook, once; what cannot be installed is said in one line on stderr."""
    try:
        if _wanted() == "off" or any(isinstance(finder, Finder) for finder in sys.meta_path):
            return
        if "proxy" in _wanted():
            _complete_credentials(os.environ)
        sys.meta_path.insert(0, Finder())
        for name in [*POINTS, *PROXIED, *TRUSTING]:
            if name in sys.modules:
                _patch_module(sys.modules[name])
    except Exception as error:
        _say("not installed", error)
