"""The house rules that no linter knows: who owns our package names, and where files may be."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from import_graph import circles, graph, imported, modules

ROOT = Path(__file__).parents[1]
PACKAGES = ("proxy", "store", "egret")
LAYERED = ("proxy", "store", "egret")
"""Packages of which each module is in exactly one layer."""

OTHERS = {
    "OpenSSL": ("proxy.engines.mitm",),
    "ahocorasick_rs": ("proxy.core.placeholder", "proxy.core.scrub"),
    "aiohappyeyeballs": ("proxy.border.pool",),
    "aiohttp": ("store.api", "store.dashboard"),
    "alembic": ("store.database.migrations",),
    "boto3": ("store.keys.wrapping",),
    "botocore": ("proxy.border.endpoints", "proxy.border.signing", "store.keys.wrapping"),
    "brotli": ("proxy.core.coding",),
    "certifi": ("egret.trust", "proxy.border.tls", "store.dashboard.provider"),
    "click": ("egret.cli", "egret.demo"),
    "cryptography": (
        "egret.echo", "egret.sandbox.stand_in", "egret.trust", "store.client_certificates", "store.dashboard", "store.keys",
        "store.private_keys", "store.reader", "store.trust",
        "proxy.authority", "proxy.engines.express",
    ),
    "h2": ("proxy.border", "proxy.engines.mitm", "proxy.protocol"),
    "hpack": ("proxy.border", "proxy.engines.mitm", "proxy.protocol"),
    "idna": ("store.authorities", "store.hosts"),
    "joserfc": ("store.dashboard.provider",),
    "jinja2": ("store.api", "store.dashboard"),
    "keyring": ("egret.credentials",),
    "mitmproxy": ("proxy.engines.mitm",),
    "opentelemetry": ("proxy.otlp",),
    "prometheus_client": ("proxy.status.exposition", "store.api"),
    "publicsuffix2": ("store.hosts",),
    "pydantic": ("store.api",),
    "pydantic_core": ("store.api",),
    "pysqlite3": ("store.database",),
    "requests": ("proxy.otlp",),
    "sqlalchemy": (
        "egret.cli.audit", "store.database", "store.ledger", "store.log", "store.operator", "store.reader", "store.vault",
    ),
    "uvloop": ("proxy.__main__",),
    "yaml": ("egret.manifest", "egret.prices", "egret.settings_file", "store.providers"),
    "zstandard": ("proxy.core.coding",),
}  # fmt: skip
"""Which rooms of the layered packages may import which libraries; nobody imports one that is not here."""


@pytest.mark.parametrize("package", PACKAGES)
def test_nobody_else_claims_our_packages(package):
    """`proxy` and `store` are common names: another distribution of that name would be imported instead of us."""
    owners = importlib.metadata.packages_distributions().get(package, ["egret-proxy"])
    assert set(owners) == {"egret-proxy"}
    __import__(package)
    assert Path(sys.modules[package].__file__).parent == ROOT / package


def layers(contract: dict) -> list[str]:
    """Dotted names of a contract's layers, each once per mention."""
    names = [name.strip(" ()") for layer in contract["layers"] for name in re.split(r"[|:]", layer)]
    containers = contract.get("containers", [""])
    return [f"{container}.{name}".lstrip(".") for container in containers for name in names]


@pytest.mark.parametrize("package", LAYERED)
def test_every_module_is_in_one_layer(package):
    """Of each contract that layers the package, or a room of it; and what a layer names is there."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    names = modules(ROOT, package)
    seen = set()
    for contract in (rule for rule in rules if rule["type"] == "layers"):
        for container in contract.get("containers", ()):
            if container.split(".")[0] != package:
                continue
            inside = [name for name in names if name.startswith(f"{container}.")]
            known = layers(contract)
            assert set(known) <= names.keys(), contract["name"]
            for name in inside:
                assert sum(name == layer or name.startswith(f"{layer}.") for layer in known) == 1, (
                    name,
                    contract["name"],
                )
            seen.add(container)
    assert package in seen


def test_no_circle_of_imports():
    """Modules that import each other, for types alone too, are one module in several files."""
    assert set(circles(graph(ROOT, PACKAGES))) == set()


def test_a_circle_shows(tmp_path):
    """Through three modules, inside a function and under TYPE_CHECKING; who imports one of them is not in it."""
    sources = {
        "__init__": "from ours.one import thing",
        "one": "def late():\n    from ours import two",
        "two": "if TYPE_CHECKING:\n    from ours.three import Thing",
        "three": "import ours.one",
        "four": "from ours.one import thing",
    }
    (tmp_path / "ours").mkdir()
    for name, source in sources.items():
        (tmp_path / "ours" / f"{name}.py").write_text(source)
    assert circles(graph(tmp_path, ["ours"])) == [frozenset({"ours.one", "ours.two", "ours.three"})]


@pytest.mark.parametrize("package", LAYERED)
def test_libraries_stay_in_their_rooms(package):
    """An allow-list: a library that enters another room is a decision, and stands in this table."""
    ours = {*PACKAGES, *sys.stdlib_module_names}
    strangers = []
    for module, path in modules(ROOT, package).items():
        if module.startswith("egret.shims.python"):  # loaded into other people's interpreters
            continue
        for library in {source.partition(".")[0] for source, _ in imported(path)} - ours:
            rooms = OTHERS.get(library, ())
            if not any(module == room or module.startswith(f"{room}.") for room in rooms):
                strangers.append((module, library))
    assert strangers == []


LINES = "proxy.admission.events"
"""Writes the parts of a scope into the audit's lines."""

PARTS = {"organisation", "project", "dataset", "tenant"}


def taken_apart(source: str) -> list[int]:
    """Where a source uses a part of a scope, or makes a scope of its own."""
    found = []
    for node in ast.walk(ast.parse(source)):
        part = (
            (isinstance(node, ast.Attribute) and node.attr in PARTS)
            or (isinstance(node, ast.keyword) and node.arg in PARTS)
            or (isinstance(node, ast.Constant) and node.value in PARTS)
            or (isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Scope")
        )
        if part:
            found.append(node.lineno)
    return found


def test_no_key_is_built_of_parts_of_a_scope():
    """Tenants choose their projects' and datasets' names: what is kept by parts of a scope is kept for two of them."""
    sources = {name: path.read_text() for name, path in modules(ROOT, "proxy").items()}
    assert {name for name, source in sources.items() if taken_apart(source)} == {LINES}


@pytest.mark.parametrize(
    "key",
    [
        "caller.project", "(caller.organisation, caller.scope.dataset)", "replace(scope, organisation='')",
        "Scope('', *parts)", "model.Scope('')", "getattr(scope, 'project')", "f'{caller.dataset}-{minute}'",
    ],
)  # fmt: skip
def test_a_key_of_parts_shows(key):
    """However it is built; a scope as a whole is no part."""
    assert taken_apart(f"key = {key}")
    assert taken_apart("key = Key(caller.scope, destination), repr(caller.scope)") == []


def test_our_modules_hide_nothing_of_the_standard_library_at_the_top():
    """Top-level packages of ours are no names of the standard library."""
    assert not set(PACKAGES) & sys.stdlib_module_names


def test_tests_are_no_package():
    """An `__init__.py` under tests would turn helper modules into different modules of the same name."""
    found = (ROOT / "tests").rglob("__init__.py")
    assert [path for path in found if "node_modules" not in path.parts] == []


def test_helper_names_are_unique():
    """Modules under tests/support are imported by their bare names."""
    names = [path.stem for path in (ROOT / "tests" / "support").rglob("*.py")]
    assert len(names) == len(set(names))
    assert not set(names) & set(sys.stdlib_module_names)


def test_config_holds_data_only():
    """Configuration is data."""
    assert [path.name for path in (ROOT / "config").rglob("*.py")] == []


def test_sources_stay_short():
    """A file is one thing; 300 lines is the aim, 400 the end."""
    long = {
        str(path.relative_to(ROOT)): count
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "versions" not in path.parts and (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_every_python_source_says_what_it_is():
    """Each module begins with a docstring."""
    silent = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "versions" not in path.parts and not re.match(r'(r)?"""', path.read_text())
    ]
    assert silent == []


def test_lock_files_pin_by_hash():
    """Every requirement in every lock has a version and hashes, and what we know to be bad is not there."""
    for lock in (ROOT / "requirements").glob("*.lock"):
        entries = re.split(r"\n(?=\S)", lock.read_text().strip())
        for entry in entries:
            assert re.match(r"[A-Za-z0-9_.\[\]-]+==\S+", entry), (lock.name, entry[:80])
            assert "--hash=sha256:" in entry, (lock.name, entry[:80])
    assert "\nmitmproxy==12.2.3 " in (ROOT / "requirements" / "runtime.lock").read_text()
