"""Uses of secrets, as a data plane tells them: lines in a spool, taken into the log."""

import itertools
import json
import time

_SPOOLS = itertools.count()


def used(api, session: dict, *uses: dict) -> None:
    """Tell of uses by a session (as the API opened it) of what each says beside `inject` of the secret A at a.test."""
    scope = {"organisation": "default", "project": "default", "dataset": session["dataset"], "session": session["id"]}
    what = {
        "event": "inject",
        "secrets": ["A"],
        "destination": "a.test",
        "method": "GET",
        "location": "header",
        "path": "/",
    }
    spool = f"used-{next(_SPOOLS)}"
    lines = [
        {**scope, **what, **use, "request_id": f"req_{at}", "spool": spool, "seq": at, "time": time.time()}
        for at, use in enumerate(uses)
    ]
    folder = api.state.data / "spool"
    folder.mkdir(exist_ok=True)
    (folder / f"{spool}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert api.store.vault.intake(api.state.data).take() == len(lines)
