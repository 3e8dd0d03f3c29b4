"""`egret import` and `egret export --metadata` against the real API."""

import json

import inside
import pytest
from stores import CANARY, use

from store.model import Kind

VALUE = CANARY.decode()


@pytest.fixture(scope="module", autouse=True)
def imported(shared):
    shared.dataset(name="imported", id="imported")


@pytest.fixture
def egret(shared, tmp_path):
    def egret(*arguments, text=None, **environ):
        names = {"EGRET_URL": shared.url, "EGRET_API_KEY": shared.key, "XDG_CONFIG_HOME": str(tmp_path)}
        done = inside.egret(*arguments, "-d", "imported", text=text, **names, **environ)
        assert VALUE not in done.stdout + done.stderr
        return done

    return egret


def listed(shared):
    return {item["name"]: item["version"] for item in shared("GET", "/projects/default/datasets/imported/secrets/").json["items"]}  # fmt: skip


def test_a_file_is_imported(shared, egret):
    """Dry run, run, run again, leaving what is there; then the data plane opens the values, and nothing printed one."""
    text = f"A={VALUE}\nB='{VALUE}-b'\nC=\n"
    arguments = ("import", "-", "--format", "dotenv", "-H", "api.example.com")
    done = egret(*arguments, "--dry-run", text=text)
    assert (done.returncode, listed(shared)) == (0, {})
    assert [line.split("\t")[:2] for line in done.stdout.splitlines()] == [
        ["A", "new"],
        ["B", "new"],
        ["C", "left out"],
    ]
    assert egret(*arguments, text=text).returncode == 0
    assert listed(shared) == {"A": 1, "B": 1}
    assert egret(*arguments, "--skip-existing", text=f"A=other-value\nD={VALUE}").returncode == 0
    assert "new version" in egret(*arguments, text=f"A={VALUE}-2").stdout
    assert listed(shared) == {"A": 2, "B": 1, "D": 1}
    reader = shared.store.reader()
    view = reader.view(reader.caller(shared.store.token("imported")))
    assert view.resolve(Kind.SECRET, "A", use()).open().reveal() == CANARY + b"-2"
    assert view.resolve(Kind.SECRET, "B", use()).open().reveal() == CANARY + b"-b"
    reader.close()
    assert CANARY not in shared.store.dump()


def test_a_faulty_file_sends_nothing(shared, egret, tmp_path):
    """All or nothing as far as can be seen here."""
    before = listed(shared)
    done = egret("import", "-", "--format", "dotenv", text=f"NEW={VALUE}\n{VALUE}")
    assert (done.returncode, "line 2" in done.stderr, "nothing was sent" in done.stderr) == (1, True, True)
    (tmp_path / "binary").write_bytes(b"\xff")
    assert egret("import", str(tmp_path / "binary"), "--format", "vault").returncode == 1
    assert egret("import", str(tmp_path / "none"), "--format", "vault").returncode == 1
    assert listed(shared) == before


def test_names_without_values(shared, egret):
    """GitHub lists names: values come from variables; one that is missing stops all before anything is sent."""
    before = listed(shared)
    text = '[{"name": "GH_ONE"}, {"name": "GH_TWO"}]'
    done = egret("import", "-", "--format", "github", "--from-env", text=text, GH_ONE=VALUE)
    assert (done.returncode, "GH_TWO has no value" in done.stderr, listed(shared)) == (1, True, before)
    assert (
        egret("import", "-", "--format", "github", "--from-env", text=text, GH_ONE=VALUE, GH_TWO=VALUE).returncode == 0
    )
    assert listed(shared) == {**before, "GH_ONE": 1, "GH_TWO": 1}


def test_metadata_goes_out_and_comes_back(shared, egret):
    """The export has no value and no field for one; with values added it is an upload."""
    assert egret("export").returncode == 8
    exported = json.loads(egret("export", "--metadata").stdout)
    assert {item["name"] for item in exported} == set(listed(shared))
    assert exported[0] == {"name": "A", "hosts": ["api.example.com"], "locations": ["body", "header", "message", "url"]}
    secrets = [{**item, "value": VALUE} for item in exported]
    assert shared("POST", "/projects/default/datasets/", {"name": "copy", "secrets": secrets}).status == 201
