"""The audit log's size: what it costs to walk and to verify many rows, in time and memory.

python -m benchmarks log [--rows 1000000]
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from store.log.audit import Event
from store.model import Scope
from store.operator.init import initialise
from store.vault import Vault

BATCH = 1000


def peak() -> float:
    """Peak resident memory in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Fill a log, then walk it as the store does and verify it as an owner does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks log")
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        key = initialise(data)
        vault = Vault.open(f"sqlite:///{data / 'egret.db'}", data)
        owner = vault.keys.authenticate(key)
        event = Event("use:inject", Scope("default", "default", "ds"), "", actor="session:x", detail={"secrets": ["A"]})
        for _ in range(0, options.rows, BATCH):
            with vault._gate.ledger.change() as transaction:
                for _ in range(BATCH):
                    transaction.log(event)
        before = peak()
        start, turns = time.process_time(), []
        watch, going = vault.log_watch(), True
        while going:
            turn = time.perf_counter()
            going = watch.turn()
            turns.append(time.perf_counter() - turn)
        walked = time.process_time() - start
        start = time.process_time()
        verdict = vault.log.verify(owner)
        verified = time.process_time() - start
        print(f"rows {verdict.rows}, {verdict.fault or 'whole'}")
        print(f"walk: {walked:.1f} s CPU, longest turn {max(turns) * 1e3:.0f} ms")
        print(f"verify: {verified:.1f} s CPU, memory +{peak() - before:.1f} MiB")
        vault.close()


if __name__ == "__main__":
    main()
