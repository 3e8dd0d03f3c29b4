"""Leases in the store: who gets a turn, what ends it, and what follows which version; on both databases."""

import json
from dataclasses import replace

import pytest
from stores import Store, eventually, secret

from proxy.admission.events import Event, Spool
from store.errors import Conflict
from store.leases import FREE, LASTS, SPENT, STALE, Shared, lease_key
from store.ledger import housekeeping
from store.log.spools import MAX_LINE
from store.model import Kind, SecretValue
from store.operator.restore import restore
from store.records import Change
from store.vault import Vault

PARAMETERS = {"token_url": "https://auth.example.com/token"}
TOKEN = Shared("Y29weQ==", "00" * 8, 1, 2, 3)


def value(token="refresh-token-1"):
    return json.dumps({"client_id": "c", "refresh_token": token}).encode()


class Plane:
    """A data plane that says what the test wants it to."""

    def __init__(self, store, reader):
        self.store, self.reader = store, reader
        self.spool, self.intake = Spool(store.data / "spool"), store.vault.intake(store.data)
        store.dataset()
        self.put()
        self.session = store.caller(reader)

    def put(self, token="refresh-token-1", **more):
        entry = secret("API", value(token), kind="oauth2_refresh", parameters={**PARAMETERS, **more})
        return self.store.put(entry)

    @property
    def grant(self):
        return self.reader.view(self.session).grant("API")

    def lease(self, grant=None):
        """What the store has of a turn; with `grant` the reader, which goes by its own clock, is not asked."""
        key = lease_key(self.reader.leases.entry(grant or self.grant))
        with self.store.vault._gate.database.read() as connection:
            body = self.store.vault._gate.ledger.document(connection, key)
        return None if body is None else json.loads(body)

    def say(self, told):
        self.spool.write(Event("lease", lease=told))
        assert self.intake.take() == 1
        return told

    def fresh(self, version):
        """The grant of a version, once the reader knows it."""
        return eventually(lambda: self.grant if self.grant.version == version else False)

    def wish(self, grant=None):
        """A wish that saw the last turn."""
        grant, found = grant or self.grant, self.lease()
        leases = self.reader.leases
        eventually(lambda: leases.standing(grant).lease.turn == (0 if found is None else found["turn"]))
        return leases.ask(grant, leases.standing(grant).lease)

    def turn(self, grant=None):
        asked = self.say(self.wish(grant))
        assert self.lease()["intent"] == asked.intent
        return asked

    def codes(self):
        return [each.code for each in self.store.info("API").warnings]


@pytest.fixture
def plane(store, reader):
    made = Plane(store, reader)
    yield made
    made.spool.close()


def actions(store):
    return [
        row.body["action"]
        for row in store.vault.log.list(store.owner).items
        if row.body["action"] != "keys:authenticate"
    ]


def test_one_turn_at_a_time(plane, store):
    """For the turn that was seen, soon after the wish, for the version in use; a word is taken once, and from its own."""
    wish, other = plane.wish(), plane.wish()
    plane.say(wish)
    plane.say(other)
    assert (plane.lease()["intent"], plane.lease()["turn"]) == (wish.intent, 1)
    plane.say(plane.reader.leases.ended(other, FREE))
    assert plane.lease()["intent"] == wish.intent
    plane.say(plane.reader.leases.ended(wish, FREE))
    assert (plane.lease()["intent"], plane.lease()["turn"]) == ("", 2)
    plane.say(wish)
    plane.say(other)
    assert (plane.lease()["intent"], plane.lease()["turn"]) == ("", 2), "those were wishes for a turn that is over"
    old = plane.wish()
    for wrong in ({"at": old.at - int(STALE * 1000) - 1000}, {"at": old.at + int(STALE * 1000) + 1000}, {"version": 2}):
        plane.say(plane.reader.leases._vouched(replace(old, **wrong)))
        assert plane.lease()["intent"] == "", wrong
    for name in ("mac", "turn", "version", "entry", "intent", "what", "at"):
        wrong = {"mac": "0" * 64, "entry": "x" * 16, "intent": "0" * 32, "what": FREE}.get(name, 0)
        plane.say(replace(old, **{name: wrong}))
        assert plane.lease()["intent"] == "", name
    plane.say(old)
    assert plane.lease()["intent"] == old.intent
    assert "use:lease" not in actions(store)


def test_a_new_version_follows_its_own(plane, store):
    """Sealed for exactly what the one before it was; its word counts once; the one before it does not come back."""
    asked, grant = plane.turn(), plane.grant
    made = plane.reader.leases.successor(grant).made(asked, TOKEN, SecretValue(value("refresh-token-2")))
    plane.say(made)
    info = store.info("API")
    assert (info.version, info.credential.parameters, info.hosts, info.warnings) == (
        2,
        PARAMETERS,
        ["api.example.com"],
        (),
    )
    plane.say(made)
    plane.say(plane.reader.leases.ended(asked, SPENT))
    assert store.info("API").version == 2 and plane.codes() == []
    assert plane.fresh(2).open().reveal() == value("refresh-token-2")
    assert (plane.lease()["version"], plane.lease()["token"][0]) == (2, TOKEN.copy)
    with pytest.raises(Conflict) as caught:
        store.vault.entries.activate(store.owner, store.scope(), Kind.SECRET, "API", 1)
    assert caught.value.code == "version_spent"
    versions = store.vault.entries.versions(store.owner, store.scope(), Kind.SECRET, "API")
    assert [each.created_by for each in versions] == ["proxy", store.owner.author]
    assert {"store:rotate", "store:superseded"} <= set(actions(store))


@pytest.mark.parametrize("change", ["put", "delete", "dataset"])
def test_what_is_newer_stays(plane, store, change):
    """What was sealed after a version that is not in use any more is not stored; the next version has a turn of its own."""
    asked, grant = plane.turn(), plane.grant
    made = plane.reader.leases.successor(grant).made(asked, TOKEN, SecretValue(value("refresh-token-2")))
    if change == "put":
        plane.put("another-login")
        mine = plane.turn(plane.fresh(2))
        plane.say(made)
        assert plane.lease()["intent"] == mine.intent and store.info("API").version == 2
        assert plane.grant.open().reveal() == value("another-login")
        plane.say(plane.reader.leases.ended(asked, SPENT))
        assert plane.codes() == []
        return
    key = lease_key(plane.reader.leases.entry(grant))
    if change == "delete":
        store.vault.entries.delete(store.owner, store.scope(), Kind.SECRET, "API")
    else:
        store.vault.datasets.delete(store.owner, "default", "ds")
    plane.say(made)
    housekeeping.tend(store.vault._gate.ledger)
    assert store.sql("SELECT key FROM documents WHERE key = :key", key=key) == [], "nothing of it is left"


def test_what_is_the_same_secret_loses_nothing(plane, store):
    """Renamed, narrowed, disabled, sealed to another key meanwhile: it has the new version, as it is now."""
    asked, grant = plane.turn(), plane.grant
    made = plane.reader.leases.successor(grant).made(asked, TOKEN, SecretValue(value("refresh-token-2")))
    where = store.owner, store.scope(), Kind.SECRET
    store.vault.entries.patch(*where, "API", Change(name="OTHER", locations=["header"]))
    store.vault.entries.disable(*where, "OTHER")
    plane.say(made)
    info = store.info("OTHER")
    assert (info.version, info.state, info.locations) == (2, "disabled", ["header"])
    store.vault.entries.enable(*where, "OTHER")
    other = lambda: plane.reader.view(plane.session).grant("OTHER")  # noqa: E731
    assert eventually(lambda: other() or False).open().reveal() == value("refresh-token-2")


def test_what_is_sealed_for_something_else(plane, store):
    """Is not stored, and the refresh token is gone: a login is needed."""
    for number, (name, wrong) in enumerate(
        {"hosts": ["evil.test"], "version": 9, "name": "X", "locations": ["url"]}.items()
    ):
        plane.put()
        grant = plane.fresh(number + 2)
        asked = plane.turn(grant)
        made = plane.reader.leases.successor(grant)
        made = made._replace(binding=replace(made.binding, **{name: wrong}))
        plane.say(made.made(asked, TOKEN, SecretValue(value("refresh-token-2"))))
        assert (store.info("API").version, plane.codes()) == (number + 2, ["needs_login"]), name
        plane.fresh(number + 2)


def test_a_turn_that_is_over_by_time(plane, store):
    """Needs a login, until the word comes after all; where the provider forgives it is free."""
    asked, grant = plane.turn(), plane.grant
    clock = store.vault._gate.ledger.clock
    housekeeping.tend(store.vault._gate.ledger)
    assert plane.codes() == []
    store.later(LASTS + 1)
    for _ in range(2):
        housekeeping.tend(store.vault._gate.ledger)
        assert plane.codes() == ["needs_login"]
    store.vault._gate.ledger.clock = clock
    assert actions(store).count("store:needs_login") == 1
    plane.say(plane.reader.leases._vouched(replace(asked, intent="0" * 32, turn=1)))
    assert plane.codes() == ["needs_login"]
    plane.say(plane.reader.leases.ended(asked, FREE))
    assert plane.codes() == []
    plane.put(reuse="accepted")
    other = plane.fresh(2)
    first = plane.turn(other)
    store.later(LASTS + 1)
    housekeeping.tend(store.vault._gate.ledger)
    store.vault._gate.ledger.clock = clock
    assert (plane.lease(other)["intent"], plane.codes()) == ("", [])
    store.vault.beat()
    made = plane.reader.leases.successor(grant).made(first, TOKEN, SecretValue(value("refresh-token-2")))
    plane.say(made)
    assert store.info("API").version == 2, "its turn is over, and may be another's"


def test_the_longest_line_is_taken(plane, store):
    """The longest parts of a value, and the longest access token, in one line."""
    asked, grant = plane.turn(), plane.grant
    longest = json.dumps({"client_id": '"' * 1024, "client_secret": '"' * 4096, "refresh_token": '"' * 8192}).encode()
    token = TOKEN._replace(copy="A" * ((16_384 + 28 + 2) // 3 * 4))
    made = plane.reader.leases.successor(grant).made(asked, token, SecretValue(longest))
    plane.say(made)
    assert max(map(len, (store.data / "spool").glob("*.jsonl").__next__().read_bytes().split(b"\n"))) < MAX_LINE
    assert store.info("API").version == 2 and plane.fresh(2).open().reveal() == longest


@pytest.mark.parametrize("rotated", [True, False])
def test_a_restore_sends_no_old_refresh_token(tmp_path, rotated):
    """One that was rotated since the backup is used up; one that was not is as good as before."""
    store = Store.make(tmp_path / "data")
    reader = store.reader()
    plane = Plane(store, reader)
    store.vault.backup(tmp_path / "backup.db")
    if rotated:
        asked, grant = plane.turn(), plane.grant
        plane.say(reader.leases.successor(grant).made(asked, TOKEN, SecretValue(value("refresh-token-2"))))
    plane.spool.close()
    reader.close()
    store.close()
    assert restore(store.data, tmp_path / "backup.db", store.data / "egret.db")[1]
    store.vault = Vault.open(store.url, store.data)
    assert (store.info("API").version, plane.codes()) == (1, ["needs_login"] if rotated else [])
    store.close()
