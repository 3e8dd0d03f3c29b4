"""The recovery drill, through the commands: every key file lost, a backup and a kit on paper left."""

import re
import shutil

import inside
import pytest
from stores import CANARY, Store, secret

from store.errors import KeyMismatch, NotAuthenticated, Tampered
from store.operator import recovery
from store.operator.recovery import Kit
from store.trust.signing import Writer
from store.vault import Vault


@pytest.fixture
def store(tmp_path):
    made = Store.make(tmp_path / "data")
    made.dataset(secret())
    yield made
    made.close()


def egret(*arguments, text=None):
    return inside.egret("recovery", *arguments, text=text)


def test_the_drill(store, tmp_path):
    """Create, rotate, back up, lose everything, restore: values open, keys and sessions live, writes go on."""
    (store.data / "keys/data/ca.key").write_bytes(b"ca")
    (store.data / "keys/public/ca.pem").write_bytes(b"pem")
    made = egret("create", "--data", store.data)
    assert made.returncode == 0, made.stderr
    kit = made.stdout
    assert egret("create", "--data", store.data).returncode == 6
    assert inside.egret("keyring", "rotate", "--data", store.data).returncode == 0
    store.put(secret("LATER", b"later-value-1"))
    token, backup = store.token(), tmp_path / "backup.db"
    store.vault.backup(backup)
    raw = (store.data / "keys/data/opening.key").read_bytes()
    seed = Kit.read(kit).seed
    for kept in (raw, seed):
        assert kept not in backup.read_bytes() and kept not in store.dump().replace(raw, b"", 1)
    assert egret("check", "--data", store.data, text=kit).returncode == 0
    assert egret("check", "--data", store.data, "--backup", backup, text=kit).returncode == 0
    store.close()
    shutil.rmtree(store.data)
    fresh = tmp_path / "fresh"
    paper = tmp_path / "paper"
    paper.write_text(re.sub(r" (?=[A-Z2-7]{4})", "\n  ", kit))  # as somebody may have typed it
    done = egret("restore", "--data", fresh, "--backup", backup, "--kit", paper)
    assert (done.returncode, "warning" in done.stderr) == (0, False), done.stderr
    assert egret("restore", "--data", fresh, "--backup", backup, "--kit", paper).returncode == 6
    assert (fresh / "keys/data/ca.key").read_bytes() == b"ca"
    url = f"sqlite:///{fresh / 'egret.db'}"
    again = Store(fresh, url, store.key, Vault.open(url, fresh), store.owner)
    reader = again.reader()
    with pytest.raises(NotAuthenticated):  # a restore ends all sessions
        reader.caller(token)
    token = again.token()
    values = {each.value.reveal() for each in reader.view(reader.caller(token)).values()}
    assert values == {CANARY, b"later-value-1"}
    assert again.vault.keys.authenticate(store.key).permission == "owner"
    again.put(secret("NEW", b"after-recovery"))
    assert again.vault.log.verify(again.owner).ok
    again.close()
    reader.close()
    for path in (fresh / "keys").rglob("*.key"):
        assert path.stat().st_mode & 0o077 == 0
    assert egret("check", "--data", fresh, text=kit).returncode == 0


@pytest.mark.parametrize(
    "change", ["", "egret", lambda text: text[:-6], lambda text: text.replace("store ", "store f")]
)
def test_a_kit_that_was_copied_with_a_mistake(store, change):
    """The checksum finds it; the secret is not repeated."""
    kit = recovery.create(store.data).text()
    tried = change(kit) if callable(change) else change
    done = egret("check", "--data", store.data, text=tried)
    assert (done.returncode, "no recovery kit" in done.stderr) == (1, True)
    assert kit.split("secret ")[1][:9] not in done.stderr


def test_every_letter_of_the_secret_counts(store):
    """No single wrong letter passes."""
    kit = recovery.create(store.data).text()
    head, coded = kit.rsplit("secret ", 1)
    for at, letter in enumerate(coded.rstrip()):
        if letter != " ":
            with pytest.raises(KeyMismatch):
                Kit.read(head + "secret " + coded[:at] + ("A" if letter != "A" else "B") + coded[at + 1 :])
    assert Kit.read(kit) == recovery.Kit.read(kit.replace(" ", "  "))
    assert repr(Kit.read(kit)) == "Kit(…)"


def test_a_kit_of_another_store(store, tmp_path):
    """Another store's kit opens nothing; nor does a bundle that somebody else has sealed, though it opens."""
    assert egret("create", "--data", store.data).returncode == 0
    other = Store.make(tmp_path / "other")
    kit = Kit.read(egret("create", "--data", other.data).stdout)
    with pytest.raises((KeyMismatch, Tampered)):
        recovery.unseal(store.url, kit)
    with pytest.raises(KeyMismatch):
        recovery.unseal(store.url, Kit(kit.seed, kit.store_id, store.vault._gate.keys.writer.public))
    with pytest.raises(Tampered):
        recovery.unseal(other.url, Kit(kit.seed, kit.store_id, Writer(bytes(32)).public))
    other.sql(
        "UPDATE documents SET signature = (SELECT signature FROM documents WHERE key = 'keyring') WHERE key = 'recovery'"
    )
    with pytest.raises(Tampered):
        recovery.unseal(other.url, kit)
    other.close()


def test_what_is_missing_is_told(store, tmp_path):
    """No bundle, no database, no key; an opening key that was never sealed is named by the drill."""
    kit = recovery.create(store.data).text()
    assert "holds no recovery bundle" in egret("check", "--data", store.data, text=kit).stderr
    assert egret("check", "--data", store.data, "--backup", tmp_path / "none", text=kit).returncode == 1
    assert egret("restore", "--data", tmp_path / "x", text=kit).returncode == 2
    assert egret("seal", "--data", store.data).returncode == 0
    assert egret("check", "--data", store.data, text=kit).returncode == 0
    from store.operator.reseal import new_opening_key

    store.vault.sealing_keys.register(store.owner, new_opening_key(store.data))
    assert "lacks the opening key" in egret("check", "--data", store.data, text=kit).stderr
    (store.data / recovery.PUBLIC).unlink()
    assert egret("seal", "--data", store.data).returncode == 1
