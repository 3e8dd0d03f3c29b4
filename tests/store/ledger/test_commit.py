"""store.ledger.commit: transactions on the signed head."""

from store.database import rows


def test_a_reader_behind_a_commit_is_no_rollback(store):
    """A snapshot that began before the last commit is older than what was seen, and as good as ever."""
    ledger = store.vault._gate.ledger
    with ledger.database.read() as connection:
        before = rows.read_head(connection)
        ledger.beat()
        assert ledger.head(connection).body() == before[0]
