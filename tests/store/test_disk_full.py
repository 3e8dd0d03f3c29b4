"""A disk that takes no more: nothing acknowledged is lost, nothing half stored, and writing goes on when there is room."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

from stores import CANARY, Store, secret

from store.errors import Unavailable
from store.vault import LogQuery

ROOM = 256 << 10
"""Bytes that files may grow by; ENOSPC and EFBIG take the same way through SQLite."""


def child(data, key):
    """Fill up, go on after there is room again; prints the versions that were acknowledged."""
    from store.vault import Vault

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = Store(
        Path(data), f"sqlite:///{data}/egret.db", key, Vault.open(f"sqlite:///{data}/egret.db", Path(data)), None
    )
    store.owner = store.vault.keys.authenticate(key)
    largest = max(path.stat().st_size for path in Path(data).glob("egret.db*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + ROOM, resource.RLIM_INFINITY))
    refused = 0
    for number in range(400):
        if refused == 5:
            assert store.info().version  # reading goes on
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            sys.stdout.write("room\n")
            refused += 1
        try:
            version = store.put(secret(value=b"value-%06d" % number + b"x" * 8000)).version
        except Unavailable:
            refused += 1
            continue
        sys.stdout.write(f"{version}\n")
        if refused > 5 and number > 30:
            break
    store.close()


def test_a_full_disk(store):
    """Refused as unavailable while it is full; every acknowledged version is there, the chain whole, the value the last."""
    store.dataset(secret())
    store.vault.close()
    code = f"import test_disk_full; test_disk_full.child({str(store.data)!r}, {store.key!r})"
    folders = [str(Path(__file__).parent), *(path for path in sys.path if path)]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {folders!r}; {code}"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.split("room\n")
    acknowledged = [int(line) for line in (before + after).split()]
    assert before and after
    assert acknowledged == list(range(2, 2 + len(acknowledged)))
    store.vault = type(store.vault).open(store.url, store.data)
    assert store.info().version == acknowledged[-1]
    assert store.vault.log.verify(store.owner).ok
    assert store.sql("PRAGMA integrity_check") == [("ok",)]
    assert len(store.vault.log.list(store.owner, LogQuery(limit=200, action="secrets:write")).items) == len(
        acknowledged
    )
    store.put(secret(value=CANARY))
    reader = store.reader()
    assert CANARY in {each.value.reveal() for each in reader.view(store.caller(reader)).values()}
    reader.close()
