"""Nothing acknowledged is lost: the writer is killed with SIGKILL in mid-stream, again and again."""

import os
import signal
import subprocess
import sys
import textwrap

import pysqlite3
from stores import Store, secret

from store.model import Kind
from store.vault import Vault

WORKER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from store.model import Kind, SecretValue
    from store.records import NewEntry
    from store.vault import Vault

    data = Path(sys.argv[1])
    vault = Vault.open(f"sqlite:///{data / 'egret.db'}", data)
    owner = vault.keys.authenticate(sys.stdin.readline().strip())
    while True:
        info = vault.entries.put(owner, owner.scope("default", "ds"), Kind.SECRET, NewEntry("API_KEY", SecretValue(b"v-%016d" % 0)))
        sys.stdout.write(f"{info.version}\\n")
        sys.stdout.flush()
    """,
)
KILLS = 6


def killed_after(store, lines):
    """Run the worker until it has acknowledged so many puts, kill it, and return the last acknowledged version."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(store.data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    worker.stdin.write(store.key + "\n")
    worker.stdin.flush()
    last = 0
    for _ in range(lines):
        last = int(worker.stdout.readline())
    os.kill(worker.pid, signal.SIGKILL)
    rest = worker.stdout.read().splitlines()
    worker.wait(60)
    return max([last, *(int(line) for line in rest if line)])


def test_every_acknowledged_put_survives_kill_9(tmp_path):
    """After each kill: every acknowledged version is there, the file is whole, the chain holds, the reader believes it."""
    store = Store.make(tmp_path / "data")
    store.dataset(secret())
    acknowledged = []
    for kill in range(KILLS):
        store.vault.close()
        acknowledged.append(killed_after(store, 20 + 7 * kill))
        connection = pysqlite3.connect(store.data / "egret.db")
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        store.vault = Vault.open(store.url, store.data)
        versions = store.vault.entries.versions(store.owner, store.scope(), Kind.SECRET, "API_KEY")
        numbers = [version.number for version in reversed(versions)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert numbers[-1] >= acknowledged[-1]
        assert store.vault.log.verify(store.owner).ok
        reader = store.reader()
        assert reader.view(store.caller(reader)).values()
        reader.close()
    assert acknowledged == sorted(acknowledged)
    assert acknowledged[-1] > 200
    store.close()
