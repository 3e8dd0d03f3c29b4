"""`egret init`: what is created, with which modes, and what is refused."""

import json
import stat

import pytest
from stores import Store

from store.errors import Conflict, KeyMismatch
from store.keys.keyring import ControlKeys, PublicKeys
from store.keys.tokens import API_KEY, token_id
from store.operator.init import initialise


def test_a_folder_is_created_with_tight_modes(tmp_path):
    """Folders 0700, private keys and database closed to others; one owner key that works."""
    data = tmp_path / "deep" / "data"
    key = initialise(data)
    assert token_id(key, API_KEY)
    for path in [data, *data.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_dir():
            assert mode == 0o700, path
        elif path.suffix == ".key" or path.name.startswith("egret.db"):
            assert mode & 0o077 == 0, path
    assert {path.name for path in (data / "keys" / "data").iterdir()} == {"opening.key"}
    document = json.loads((data / "keys/public/sealing.json").read_text())
    assert set(document) == {"kid", "suite", "suite_name", "public_key", "store_id", "fingerprint"}


def test_a_store_is_never_overwritten(tmp_path):
    """A second init is a conflict and changes nothing; so is a folder with keys alone."""
    data = tmp_path / "data"
    initialise(data)
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    with pytest.raises(Conflict):
        initialise(data)
    assert before == {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    (data / "egret.db").unlink()
    with pytest.raises(Conflict):
        initialise(data)


def test_two_stores_share_no_key(tmp_path):
    """Every secret file differs."""
    one, two = tmp_path / "one", tmp_path / "two"
    initialise(one)
    initialise(two)
    for file in (
        "control/writer.key",
        "control/pepper.key",
        "data/opening.key",
        "shared/session.key",
        "public/writer.pub",
    ):
        assert (one / "keys" / file).read_bytes() != (two / "keys" / file).read_bytes()


def test_the_control_plane_needs_no_opening_key(tmp_path):
    """With keys/data gone the vault works; nothing of it reads that folder."""
    import shutil

    from store.vault import Upload, Vault

    store = Store.make(tmp_path / "data")
    store.close()
    shutil.rmtree(store.data / "keys" / "data")
    vault = Vault.open(store.url, store.data)
    vault.datasets.create(vault.keys.authenticate(store.key), "default", Upload("x"))
    vault.close()


@pytest.mark.parametrize("file", ["control/writer.key", "control/pepper.key", "shared/session.key"])
def test_a_key_that_others_may_read_is_refused(tmp_path, file):
    """With the command that mends it."""
    initialise(tmp_path / "data")
    path = tmp_path / "data" / "keys" / file
    path.chmod(0o644)
    with pytest.raises(KeyMismatch, match="chmod 600"):
        ControlKeys.load(tmp_path / "data")


@pytest.mark.parametrize(
    "file",
    ["control/writer.key", "control/pepper.key", "shared/session.key", "public/writer.pub", "public/sealing.json"],
)
def test_a_missing_key_is_told(tmp_path, file):
    """In a sentence, not a traceback."""
    initialise(tmp_path / "data")
    (tmp_path / "data" / "keys" / file).unlink()
    with pytest.raises(KeyMismatch):
        ControlKeys.load(tmp_path / "data")


@pytest.mark.parametrize(
    "change", [{"kid": "00" * 8}, {"public_key": "AAAA"}, {"store_id": "zz"}, {"fingerprint": "SHA256:x"}, {"suite": 2}]
)
def test_public_keys_that_contradict_themselves_are_refused(tmp_path, change):
    """Each member is checked against the others."""
    initialise(tmp_path / "data")
    path = tmp_path / "data/keys/public/sealing.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(KeyMismatch):
        PublicKeys.load(tmp_path / "data")


def test_a_foreign_writer_key_is_refused(tmp_path):
    """writer.key and writer.pub must be a pair."""
    initialise(tmp_path / "one")
    initialise(tmp_path / "two")
    key = tmp_path / "one/keys/control/writer.key"
    key.write_bytes((tmp_path / "two/keys/control/writer.key").read_bytes())
    with pytest.raises(KeyMismatch, match="pair"):
        ControlKeys.load(tmp_path / "one")
