"""Write-only: after a full round of use no form of a value is in any byte of the folder, a log, an error or a repr."""

import ast
import base64
import logging
import traceback
from pathlib import Path

import pytest
from stores import CANARY, secret

from store.model import Kind
from store.records import Change, NewEntry
from store.vault import Listing, NewSession, Upload

ROOT = Path(__file__).parents[2]


def forms(value):
    yield value
    yield value.hex().encode()
    yield value.hex().upper().encode()
    yield value[::-1]
    for pad in (b"", b"x", b"xx"):
        core = base64.b64encode(pad + value)[4:-4]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))
    yield value.decode().encode("utf-16-le")


def test_no_byte_of_the_folder_holds_a_value(store, reader, caplog, tmp_path):
    """Database, WAL, backup, spool, state, keys: searched raw, in hex, base64 at all alignments, reversed, UTF-16."""
    caplog.set_level(logging.DEBUG)
    store.dataset(secret(), secret("SECOND", CANARY + b"-second"))
    args = (store.owner, store.scope(), Kind.SECRET)
    shown = [
        store.vault.entries.put(*args, secret(value=CANARY + b"-rotated")),
        store.vault.entries.patch(*args, "API_KEY", Change(description="about", hosts=["api.example.com"])),
        store.vault.entries.list(*args, Listing()),
        store.vault.entries.versions(*args, "API_KEY"),
        store.vault.entries.activate(*args, "API_KEY", 1),
        store.vault.entries.destroy(*args, "SECOND", 1),
        store.vault.datasets.replace(store.owner, "default", "ds", Upload("x", secrets=[secret(value=CANARY)])),
        store.vault.datasets.get(store.owner, "default", "ds"),
        store.vault.sessions.open(store.owner, "default", "ds", NewSession()),
        store.vault.log.list(store.owner),
    ]
    view = reader.view(store.caller(reader))
    shown += [view.values(), view.key, view.__dict__, reader.__dict__]
    for bad in (secret("bad"), secret(value=CANARY + b"\r\n"), secret(value=CANARY * 9999), secret(hosts=["*"])):
        with pytest.raises(Exception) as caught:
            store.put(bad)
        shown += [caught.value, caught.value.__dict__, "".join(traceback.format_exception(caught.value))]
    store.vault.entries.delete(*args, "API_KEY")
    store.vault.backup(tmp_path / "backup.db")
    texts = (repr(shown) + caplog.text).encode()
    files = {path: path.read_bytes() for path in [*store.data.rglob("*"), tmp_path / "backup.db"] if path.is_file()}
    assert any(path.name == "egret.db-wal" and data for path, data in files.items())
    for form in forms(CANARY):
        assert form not in texts
        for path, data in files.items():
            assert form not in data, path


def test_the_sweep_can_fail(store):
    """A variable's value is no secret: it is found, so the search does search."""
    store.put_variable = store.vault.entries.put(store.owner, store.owner.scope(), Kind.VARIABLE, secret("V"))
    assert any(CANARY in path.read_bytes() for path in store.data.rglob("egret.db*"))


REVEALS = {
    "store/keys/sealing.py": 1,  # seal
    "store/vault/upload.py": 5,  # check its bytes, its parts and what stands beside it, before sealing
    "store/credential.py": 1,  # the parts of a key that signs, each searched for
    "proxy/core/trading.py": 2,  # what a token endpoint is sent, and the one that follows it is made of it
    "proxy/core/sts.py": 1,  # a temporary key, read once to see that it can be signed with
    "egret/sealed.py": 1,  # the same check, where the client seals
    "store/vault/versions.py": 1,  # a variable, stored in clear
    "store/reader/values.py": 1,  # the canary
    "store/reader/warm.py": 1,  # encrypted again, under a key of this process
    "store/operator/init.py": 1,  # the owner's key, shown once
    "store/api/secret_models.py": 1,  # a sealed envelope, typed as a secret
    "store/api/routes_sessions.py": 1,  # a session's token, shown once
    "store/api/routes_keys.py": 1,  # an API key, shown once
    "store/api/routes_datasets.py": 1,  # an organisation's first key, shown once
    "store/dashboard/routes_sessions.py": 1,  # a session's token, shown once
    "store/dashboard/routes_keys.py": 1,  # an API key, shown once
    "store/dashboard/routes_trial.py": 1,  # the token of the session of a minute that tests a secret, for our own proxy
    "egret/cli/key.py": 1,  # the owner key, recovered by the operator
    "store/reader/view.py": 1,  # plain variables, told to their session
    "proxy/border/hits.py": 3,  # whether the value in an answer was sent with its request
    "proxy/border/signing.py": 3,  # a request is signed with it, at the border
    "proxy/border/mac.py": 1,  # the same, by a template
    "proxy/border/pool.py": 1,  # a certificate and its key, for OpenSSL
    "proxy/border/trial.py": 1,  # when a certificate ends, which whoever tests it is told
    "proxy/border/captures.py": 1,  # whether a token of an answer is known already
    "store/reader/captured.py": 2,  # a token of an answer, encrypted for its session, and taken apart again
    "proxy/core/inject.py": 1,  # at the border
    "proxy/core/edit.py": 1,  # at the border
    "proxy/core/scrub/scrubber.py": 1,  # what is searched for
    "proxy/core/searches.py": 1,  # the same, of what reaches a host
    "store/advice.py": 2,  # whether it or a part of it can be guessed, said once to who uploads it
    "store/reach.py": 1,  # how strong it is, in the data plane
}
"""Who may read a value's bytes. A new line here needs a reason, and a reviewer."""


def test_reveal_has_known_callers():
    """Each place is listed; none is listed that is gone."""
    found = {}
    for package in ("store", "proxy", "egret"):
        for path in (ROOT / package).rglob("*.py"):
            calls = [
                node
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Attribute) and node.attr == "reveal"
            ]
            name = str(path.relative_to(ROOT))
            if calls and name != "store/model.py":
                found[name] = len(calls)
    assert found == REVEALS


def test_no_verb_of_the_vault_gives_a_value(store):
    """Every record that the vault returns is free of `SecretValue`, but for tokens shown once."""
    import dataclasses

    from store import people, records
    from store.model import SecretValue

    for name, record in (vars(records) | vars(people)).items():
        if dataclasses.is_dataclass(record) and record is not NewEntry:
            for field in dataclasses.fields(record):
                assert SecretValue.__name__ not in str(field.type), f"{name}.{field.name}"
