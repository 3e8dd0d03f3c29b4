"""A program that uses no placeholder does not notice the preload, and no accident in it stops a program."""

import shutil
import subprocess

import pytest
from node_clients import HERE, VERSIONS, node
from shim_environment import clean

from egret.shims import FOLDER, environment

PROXIED = {
    "HTTPS_PROXY": "http://egs_x@127.0.0.1:1",
    "HTTP_PROXY": "http://egs_x@127.0.0.1:1",
    "NODE_USE_ENV_PROXY": "1",
}
pytestmark = pytest.mark.parametrize("version", VERSIONS)


def run(version, *argv, environ, **kwargs):
    return subprocess.run([node(version), *argv], env=environ, capture_output=True, text=True, timeout=30, **kwargs)


@pytest.mark.parametrize("proxied", [False, True])
def test_urls_without_a_placeholder_are_what_they_were(version, proxied):
    """Same results, same errors, same fragments, same properties of the functions; with a proxy set as well."""
    base = clean(**(PROXIED if proxied else {}))
    results = [run(version, HERE / "untouched.cjs", environ=e) for e in (base, environment(base))]
    assert results[0].stdout == results[1].stdout
    assert len(results[0].stdout) > 20_000
    warnings = [[line for line in r.stderr.splitlines() if "(node:" not in line] for r in results]
    assert warnings[0] == warnings[1]


def test_dependencies_get_no_new_warnings(version, tmp_path):
    """Node warns of url.parse() in the program's own code only, and finds out who calls by the stack."""
    package = tmp_path / "node_modules" / "old" / "index.js"
    package.parent.mkdir(parents=True)
    package.write_text("module.exports = require('url').parse('http://h/').host")
    (tmp_path / "main.cjs").write_text("console.log(require('old'))")
    done = run(version, tmp_path / "main.cjs", environ=environment(clean()))
    assert (done.stdout, done.stderr) == ("h\n", "")


@pytest.mark.parametrize("broken", ["urls.cjs", "proxy.cjs", "agents.cjs", "dispatcher.cjs", "tunnel.cjs"])
@pytest.mark.parametrize("fault", ["throw new TypeError('planted')", "syntax error here", None])
def test_a_fault_in_the_shim_costs_one_line(version, tmp_path, broken, fault):
    """The program runs as if there were no shim, and stderr says so once for each part."""
    folder = shutil.copytree(FOLDER, tmp_path / "shims")
    (folder / "node" / broken).unlink()
    if fault:
        (folder / "node" / broken).write_text(fault)
    done = run(version, "-e", "console.log('ran')", environ=environment(clean(**PROXIED), folder))
    assert done.stdout == "ran\n" and done.returncode == 0
    part = "urls" if broken == "urls.cjs" else "proxy"
    assert [line.startswith(f"egret: the {part} shim is not installed: ") for line in lines(done.stderr)] == [True]


def lines(stderr):
    """stderr without Node's note that its proxy support is experimental."""
    return [line for line in stderr.splitlines() if not line.startswith(("(node:", "(Use `node"))]


def test_a_node_that_has_other_parts_is_left_as_it_is(version, tmp_path):
    """Another Node may lack what is patched here: each patch looks before it writes."""
    (tmp_path / "other.cjs").write_text(
        "const url = require('url'); for (const k of ['parse', 'resolve', 'resolveObject']) delete url[k];"
        "delete URL.parse; delete URL.canParse; delete globalThis.fetch; delete require('http').ClientRequest;"
    )
    base = clean(NODE_OPTIONS=f"--require={tmp_path}/other.cjs", **PROXIED)
    program = "console.log(new URL('http://h/#{SECRETS.X}').pathname)"
    done = run(version, "-e", program, environ=environment(base))
    assert (done.stdout, lines(done.stderr)) == ("/%23%7BSECRETS.X%7D\n", [])


def test_frozen_intrinsics_cost_one_line(version):
    """A hardened Node refuses the patch; the program runs."""
    done = run(version, "--frozen-intrinsics", "-e", "console.log('ran')", environ=environment(clean()))
    assert done.stdout == "ran\n" and done.returncode == 0


@pytest.mark.parametrize(
    ("value", "url", "proxy"), [("", True, True), ("urls", True, False), ("proxy", False, True), ("off", False, False)]
)
def test_parts_can_be_switched_off(version, value, url, proxy):
    """EGRET_SHIMS names the parts; a program can see what is there."""
    program = (
        "const {createConnection: c} = require('https').Agent.prototype;"
        "console.log([new URL('http://h/#{SECRETS.X}').pathname !== '/', c.toString().includes('attempt')].join())"
    )
    done = run(version, "-e", program, environ=environment(clean(EGRET_SHIMS=value, **PROXIED)))
    assert done.stdout.strip() == f"{url},{proxy}".lower()


def test_without_a_proxy_nothing_of_it_is_loaded(version):
    """The cost of the proxy part is for who has a proxy."""
    program = "console.log(Object.keys(require.cache).map((name) => require('path').basename(name)).sort().join())"
    done = run(version, "-e", program, environ=environment(clean()))
    assert done.stdout == "preload.cjs,urls.cjs\n"


def test_a_closed_stderr_is_no_reason_to_stop(version, tmp_path):
    """Even the one line is not worth a program."""
    folder = shutil.copytree(FOLDER, tmp_path / "shims")
    (folder / "node" / "urls.cjs").unlink()
    command = f"{node(version)} -e 'console.log(1)' 2>&-"
    done = subprocess.run(command, shell=True, env=environment(clean(), folder), stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n")


def test_workers_and_children_are_reached(version):
    """A worker starts with the preload once, whatever its options; so does a forked process."""
    program = """
        const { Worker, isMainThread, parentPort } = require('worker_threads');
        const code = "require('worker_threads').parentPort.postMessage(new URL('http://h/#{SECRETS.X}').pathname)";
        const run = (options) => new Promise((resolve) => new Worker(code, { eval: true, ...options }).on('message', resolve));
        Promise.all([run({}), run({ execArgv: [] }), run({ env: { ...process.env } })]).then((all) => console.log(all.join()));
    """
    done = run(version, "-e", program, environ=environment(clean()))
    assert done.stdout.strip() == ",".join(["/%23%7BSECRETS.X%7D"] * 3), done.stderr
