"""store.ledger.commit: transactions on the signed head."""

from stores import secret

from store.database import rows


def test_a_reader_behind_a_commit_is_no_rollback(store):
    """A snapshot that began before the last commit is older than what was seen, and as good as ever."""
    ledger = store.vault._gate.ledger
    with ledger.database.read() as connection:
        before = rows.read_head(connection)
        ledger.beat()
        assert ledger.head(connection).body() == before[0]


def test_a_look_that_changes_nothing_leaves_the_head_alone(store):
    """Each new head is read by every process of the data plane; rows are looked at each second."""
    store.dataset(secret())
    ledger, sweep = store.vault._gate.ledger, store.vault.sweep()

    def head():
        with ledger.database.read() as connection:
            return rows.read_head(connection)

    sweep.whole()  # the store's first: what was never looked at may be put right
    before = head()
    sweep.whole()
    assert head() == before
    store.sql("UPDATE entries SET name = 'OTHER'")
    sweep.whole()
    assert head() != before
    assert store.sql("SELECT count(*) FROM audit WHERE action = 'store:mend'")[0][0] == 1
    assert store.vault.log.verify(store.owner).ok
    ledger.beat()
    assert head() != before
