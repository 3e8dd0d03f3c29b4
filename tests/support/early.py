"""A store as the release before wrote it."""

import json

SAID = ("scope", "level", "egress", "hosts", "strict_bodies", "state")
LINE = ("id", "kind", "name", "environment", "state", "version", "versions")


def age(store):
    """Put every manifest into the form that the release before wrote, signed."""
    ledger = store.vault._gate.ledger
    with ledger.change() as transaction:
        for key, body in store.sql("SELECT key, body FROM documents WHERE key LIKE 'manifest/%'"):
            new = json.loads(bytes(body))
            old = {name: new[name] for name in SAID if name in new}
            old["entries"] = [_line(line) for line in new["entries"]]
            if "groups" in new:
                old["use"] = [group for group, letters in new["groups"].items() if "u" in letters]
            transaction.put_document(key, old)
    store.sql("UPDATE entries SET record = NULL")
    store.vault.close()


def _line(new):
    use = {"use": [group for group, letters in new["groups"].items() if "u" in letters]} if "groups" in new else {}
    return {**use, **{name: new[name] for name in LINE}}
