"""A program that uses no placeholder does not notice the hook, and no accident in it stops an interpreter."""

import shutil
import subprocess
import sys

import pytest
from python_clients import interpreters
from shim_environment import clean

from egret.shims import FOLDER, environment

PROXIED = {"HTTPS_PROXY": "http://egs_x@127.0.0.1:1", "HTTP_PROXY": "http://egs_x@127.0.0.1:1"}
every = pytest.mark.parametrize("python", interpreters())


def run(*argv, environ, python=sys.executable, **kwargs):
    return subprocess.run([python, *map(str, argv)], env=environ, capture_output=True, text=True, timeout=30, **kwargs)


@every
def test_every_interpreter_maps_the_literal(python):
    """From 3.7 on, with what the standard library has; older ones run on without it."""
    program = "import sys, urllib.request as r; print(r.Request('http://h/#{SECRETS.X}').selector, sys.version_info >= (3, 7))"
    done = run("-c", program, environ=environment(clean()), python=python)
    assert done.stdout in ("/%23%7BSECRETS.X%7D True\n", "/ False\n"), done.stderr
    assert done.stderr == ""


@every
def test_an_interpreter_starts_as_it_would_have(python):
    """Same sys.path, same modules but for ours, same flags, same output."""
    program = (
        "import sys; ours = {'egret_shims_hook', 'sitecustomize', '__future__'};"
        "print(sys.path, sorted(set(sys.modules) - ours), sys.flags, [str(getattr(f, '__name__', type(f))) for f in sys.meta_path if 'egret' not in repr(f)])"
    )
    results = [run("-c", program, environ=e, python=python) for e in (clean(), environment(clean()))]
    assert results[0].stdout.split("mappingproxy")[0] == results[1].stdout.split("mappingproxy")[0]
    assert results[0].stderr == results[1].stderr == ""


URLS = [
    "http://h/p?a=1#frag", "http://h/#", "http://h/#SECRETS.X", "http://h/?q=SECRETS.X&r=VARS.Y", "http://h/#{SECRETS.x}",
    "http://h/#{SECRETS.X", "http://h/#{secrets.X}", "http://h/#{SECRETS.1X}", "http://h/%2523%7BSECRETS.X%7D",
    "http://h/#{SECRETS.X>", "http://h/#{ SECRETS.X }", "http://h/#{SECRETS." + "A" * 129 + "}", "data:,#{SECRETS.X}",
    "file:///#{SECRETS.X}", "http://ü/ü?ü#ü", "", "h", "http://h:99999/", "http://[::1", "a b", "\\x00", "//h/p",
]  # fmt: skip
UNTOUCHED = f"""
import asyncio, httpx, requests, urllib3, yarl, httpcore, urllib.request, inspect, aiohttp, websockets.uri
URLS = {URLS!r} + [None, 1, b"http://h/#f", b"http://h/#SECRETS.X", object]
def seen(function, *args):
    try:
        return str(function(*args))
    except Exception as error:
        return f"{{type(error).__name__}}: {{error}}"
for url in URLS:
    print(seen(httpx.URL, url), seen(yarl.URL, url), seen(httpcore.URL, url), seen(urllib3.util.parse_url, url))
    print(seen(lambda: requests.Request("GET", url).prepare().url), seen(lambda: urllib.request.Request(url).full_url))
    print(seen(websockets.uri.parse_uri, url))
for function in (httpx.URL.__init__, yarl.URL.__new__, urllib3.util.parse_url, urllib3.PoolManager.urlopen,
                 requests.PreparedRequest.prepare_url, urllib.request.Request.__init__, aiohttp.ClientSession._request):
    print(function.__name__, function.__module__, function.__qualname__, inspect.signature(function), function.__doc__)
class Mine(yarl.URL if False else httpx.URL): pass
print(Mine("http://h/#f").fragment, isinstance(Mine("http://h/"), httpx.URL), yarl.URL("http://h/") is not None)
print(httpx.__spec__.loader.__class__, sorted(vars(httpx.__spec__.loader)), httpx.__file__)
"""


@pytest.mark.parametrize("proxied", [False, True])
def test_urls_without_a_placeholder_are_what_they_were(proxied):
    """Same results, same errors, same fragments, same signatures; with a proxy set as well."""
    base = clean(**(PROXIED if proxied else {}))
    results = [run("-c", UNTOUCHED, environ=e) for e in (base, environment(base))]
    assert results[0].stdout.splitlines() == results[1].stdout.splitlines()
    assert results[0].stderr == results[1].stderr == ""
    assert len(results[0].stdout) > 5_000


def test_what_holds_no_placeholder_is_the_same_object():
    """Not an equal one: subclasses of str, and whoever compares by identity."""
    program = "import egret_shims_hook as h; u = 'http://h/?SECRETS.' * 2; b = u.encode(); print(h.map_url(u) is u, h.map_url(b) is not None, h.map_url(7))"
    assert run("-c", program, environ=environment(clean())).stdout == "True True 7\n"


@every
def test_the_next_sitecustomize_runs(python, tmp_path):
    """The one that would have run without us: Debian's, the environment's, the program's."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.theirs = __file__")
    program = "import sys, sitecustomize; print(sys.theirs == sitecustomize.__file__, 'Finder' in repr(sys.meta_path[0]) or sys.version_info < (3, 7))"
    environ = environment(clean(PYTHONPATH=str(tmp_path)))
    assert run("-c", program, environ=environ, python=python).stdout == "True True\n"


@every
def test_what_the_next_sitecustomize_raises_is_reported_as_ever(python, tmp_path):
    """Its error is its own, and the hook is there all the same."""
    (tmp_path / "sitecustomize.py").write_text("raise ValueError('theirs')")
    results = [run("-c", "print(1)", environ=e, python=python) for e in (
        clean(PYTHONPATH=str(tmp_path)), environment(clean(PYTHONPATH=str(tmp_path))))]  # fmt: skip
    assert results[0].stderr.splitlines()[-1] == results[1].stderr.splitlines()[-1]
    assert "theirs" in results[0].stderr
    assert results[0].stdout == results[1].stdout == "1\n"


def test_a_missing_import_of_the_next_sitecustomize_is_not_hidden(tmp_path):
    """Only the absence of a sitecustomize is nothing to speak of."""
    (tmp_path / "sitecustomize.py").write_text("import no_such_module_here")
    base = clean(PYTHONPATH=str(tmp_path))
    results = [run("-c", "print(1)", environ=e) for e in (base, environment(base))]
    assert results[0].stderr.splitlines()[-1] == results[1].stderr.splitlines()[-1]
    assert "no_such_module_here" in results[1].stderr


@pytest.mark.parametrize("option", ["-I", "-E", "-S"])
def test_an_isolated_interpreter_stays_isolated(option):
    """These ask not to be steered by the environment, and are not."""
    program = "import sys; print(any('egret' in repr(f) for f in sys.meta_path))"
    assert run(option, "-c", program, environ=environment(clean())).stdout == "False\n"


@pytest.mark.parametrize("broken", ["egret_shims_hook.py", "egret_shims_proxy.py"])
@pytest.mark.parametrize("fault", ["raise TypeError('planted')", "syntax error here", None])
def test_a_fault_in_the_hook_costs_one_line(tmp_path, broken, fault):
    """The program runs as if there were no hook, and stderr says so once."""
    folder = shutil.copytree(FOLDER, tmp_path / "shims")
    (folder / "python" / broken).unlink()
    if fault:
        (folder / "python" / broken).write_text(fault)
    program = "import urllib3; print(urllib3.PoolManager.__name__)"
    done = run("-c", program, environ=environment(clean(**PROXIED), folder))
    assert done.stdout == "PoolManager\n" and done.returncode == 0
    assert [line.startswith("egret: the Python shim") for line in done.stderr.splitlines()] == [True]


def test_a_closed_stderr_is_no_reason_to_stop(tmp_path):
    """Even the one line is not worth a program."""
    folder = shutil.copytree(FOLDER, tmp_path / "shims")
    (folder / "python" / "egret_shims_hook.py").write_text("raise TypeError")
    environ = environment(clean(), folder)
    done = subprocess.run(f"{sys.executable} -c 'print(1)' 2>&-", shell=True, env=environ, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (0, b"1\n")


@pytest.mark.parametrize(
    "code",
    [
        "", "URL = 1", "class URL: pass", "URL = None", "import nothing_of_this_name", "class URL:\n  __slots__ = ()",
        "def __getattr__(name): raise RuntimeError(name)", "class URL:\n  __init__ = 5", "1/0",
    ],
)  # fmt: skip
@pytest.mark.parametrize("library", ["httpx", "yarl", "aiohttp", "urllib3", "requests", "httpcore", "niquests"])
def test_a_library_of_another_shape_is_left_as_it_is(tmp_path, library, code):
    """Another version, or another package of that name: the import ends as it would have."""
    (tmp_path / f"{library}.py").write_text(code)
    base = clean(PYTHONPATH=str(tmp_path), **PROXIED)
    program = f"import {library}; print(sorted(vars({library})))"
    results = [run("-c", program, environ=e) for e in (base, environment(base))]
    assert results[0].stdout == results[1].stdout
    said = [line for line in results[1].stderr.splitlines() if line.startswith("egret: ")]
    assert len(said) <= 1
    assert (
        results[0].stderr.splitlines()[-1:]
        == [line for line in results[1].stderr.splitlines() if line not in said][-1:]
    )


def test_loaders_of_all_kinds_are_followed(tmp_path):
    """A library in a zip file; a namespace package; one found by somebody else's finder."""
    shutil.make_archive(str(tmp_path / "lib"), "zip", root_dir=_library(tmp_path / "zipped", "httpx"))
    (tmp_path / "space" / "niquests").mkdir(parents=True)
    finder = (
        "import importlib.util as u, sys\n"
        "class F:\n  @staticmethod\n  def find_spec(name, path=None, target=None):\n"
        f"    return u.spec_from_file_location(name, {str(_library(tmp_path / 'other', 'yarl') / 'yarl.py')!r}) if name == 'yarl' else None\n"
        "sys.meta_path.append(F)\n"
    )
    program = finder + (
        "import httpx, niquests, yarl\n"
        "print(httpx.URL('#{SECRETS.X}').url, yarl.URL('#{SECRETS.X}').url, niquests.__path__ is not None)"
    )
    environ = environment(clean(PYTHONPATH=f"{tmp_path}/lib.zip:{tmp_path}/space"))
    done = run("-c", program, environ=environ, python=_bare(tmp_path))
    assert done.stdout == "%23%7BSECRETS.X%7D #{SECRETS.X} True\n", done.stderr


def _library(folder, name):
    """A stand-in with the class that is patched. yarl's is patched in __new__, which this one has not."""
    folder.mkdir()
    (folder / f"{name}.py").write_text("class URL:\n  def __init__(self, url):\n    self.url = url\n")
    return folder


def _bare(tmp_path):
    """An interpreter without any library."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    return tmp_path / "venv" / "bin" / "python"


WRAPPED = """
import sys
class Lazy:
    def __init__(self, finder): self.finder = finder
    def find_spec(self, *words): return self.finder.find_spec(*words)
sys.meta_path[:] = [Lazy(finder) for finder in sys.meta_path]
import http.client
print(hasattr(http.client.HTTPConnection.putrequest, "__wrapped__"))
"""


def test_finders_that_another_program_wraps():
    """Ours asks the others, one of which is ours again: Mercurial does this to all, for imports that wait."""
    done = run("-c", WRAPPED, environ=environment(clean()))
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_the_pth_file_does_without_python_path(tmp_path):
    """For an image: the files in site-packages, no variable needed, isolated interpreters included."""
    python = _bare(tmp_path)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    for name in ("egret_shims.pth", "egret_shims_hook.py", "egret_shims_proxy.py"):
        shutil.copy(FOLDER / "python" / name, site)
    program = "import urllib.request as r; print(r.Request('http://h/#{SECRETS.X}').selector)"
    for options in (["-c"], ["-I", "-c"]):
        assert run(*options, program, environ=clean(), python=python).stdout == "/%23%7BSECRETS.X%7D\n"
    both = environment(clean())
    assert run("-c", program, environ=both, python=python).stdout == "/%23%7BSECRETS.X%7D\n"


def test_a_module_that_was_imported_before_is_patched_as_well(tmp_path):
    """Another .pth file may import a library before the hook is there, and others its functions by name."""
    python = _bare(tmp_path)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "a.pth").write_text("import early\n")
    (site / "early.py").write_text("import websockets.uri\nfrom websockets.uri import parse_uri")
    (site / "websockets").mkdir()
    (site / "websockets" / "__init__.py").touch()
    (site / "websockets" / "uri.py").write_text("def parse_uri(uri):\n  return uri")
    program = "import early, websockets.uri as u; print(early.parse_uri('#{SECRETS.X}'), u.parse_uri('#{SECRETS.X}'))"
    done = run("-c", program, environ=environment(clean()), python=python)
    assert done.stdout == "%23%7BSECRETS.X%7D %23%7BSECRETS.X%7D\n", done.stderr


def test_a_reloaded_module_is_patched_again():
    """importlib.reload makes new functions."""
    program = (
        "import importlib, websockets.uri as u; importlib.reload(u); print(u.parse_uri('ws://h/#{SECRETS.X}').path)"
    )
    assert run("-c", program, environ=environment(clean())).stdout == "/%23%7BSECRETS.X%7D\n"


@pytest.mark.parametrize(("value", "mapped"), [("", True), ("urls", True), ("proxy", False), ("off", False)])
def test_parts_can_be_switched_off(value, mapped):
    """EGRET_SHIMS names the parts."""
    program = "import urllib.request as r; print(r.Request('http://h/#{SECRETS.X}').selector)"
    done = run("-c", program, environ=environment(clean(EGRET_SHIMS=value)))
    assert done.stdout == ("/%23%7BSECRETS.X%7D\n" if mapped else "/\n")


@pytest.mark.parametrize("option", [[], ["-O"], ["-W", "error"], ["-X", "dev"], ["-B"], ["-X", "importtime"]])
def test_options_of_the_interpreter_do_no_harm(option):
    """No warning and no assertion of ours."""
    done = run(
        *option, "-c", "import httpx, aiohttp, requests, urllib3; print(1)", environ=environment(clean(**PROXIED))
    )
    assert done.stdout == "1\n" and done.returncode == 0
    assert "importtime" in option or done.stderr == ""
