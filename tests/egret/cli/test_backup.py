"""`egret backup`, `restore`, `trust-epoch`: the drill, through the commands."""

import subprocess
import sys

import pytest
from stores import Store, secret

from store.errors import NotAuthenticated, StoreError
from store.vault import Vault


def egret(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "egret.cli", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stderr


def test_the_restore_drill(tmp_path):
    """Back up, change, lose, restore: refused until accepted, then the old value is served again."""
    store = Store.make(tmp_path / "data")
    store.dataset(secret(value=b"value-of-the-backup"))
    token = store.token()
    copy = tmp_path / "copy.db"
    assert egret("backup", "--data", store.data, copy)[0] == 0
    assert egret("backup", "--data", store.data, copy)[0] == 6
    store.put(secret(value=b"value-that-is-lost"))
    reader = store.reader()
    reader.caller(token)
    reader.close()
    store.close()
    for file in store.data.glob("egret.db*"):
        file.unlink()
    code, text = egret("restore", "--data", store.data, copy)
    assert (code, "trust-epoch" in text) == (0, True)
    store.vault = Vault.open(store.url, store.data)
    reader = store.reader()
    with pytest.raises(StoreError):
        reader.caller(token)
    reader.close()
    assert egret("trust-epoch", "--data", store.data)[0] == 0
    store.vault.beat()
    reader = store.reader()
    with pytest.raises(NotAuthenticated):  # a restore ends all sessions
        reader.caller(token)
    token = store.token()
    assert [each.value.reveal() for each in reader.view(reader.caller(token)).values()] == [b"value-of-the-backup"]
    reader.close()
    store.close()


def test_what_cannot_be_restored_is_told(tmp_path):
    """A missing file, a file that is no database, another store's backup: the database in place stays."""
    store, other = Store.make(tmp_path / "data"), Store.make(tmp_path / "other")
    store.dataset(secret())
    other.vault.backup(tmp_path / "other.db")
    store.close()
    other.close()
    (tmp_path / "junk.db").write_bytes(b"not a database" * 1000)
    before = (store.data / "egret.db").read_bytes()
    for file in ("missing.db", "junk.db", "other.db"):
        code, text = egret("restore", "--data", store.data, tmp_path / file)
        assert code in {1, 6}
        assert text.startswith("egret: ")
        assert "Traceback" not in text
    assert (store.data / "egret.db").read_bytes() == before
