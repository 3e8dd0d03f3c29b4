"""Refresh tokens: traded once for all who wait, kept before they are used, and never sent twice; over a real store and endpoint."""

import asyncio
import functools
import json
import os
import shutil
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from certificates import Authority
from issuer import answer
from postgres import cluster
from rotating import RefreshHouse, Rotating, Taking, put, until
from stores import Store
from upstream import response

from proxy.admission.events import Event, SpoolError
from proxy.border import refreshing
from proxy.core.refusal import Refused
from store.errors import Conflict, NotFound
from store.ledger import leases as leases_of_the_store
from store.log.shipping import Shipper
from store.model import Kind, SecretValue
from store.records import Change

pytestmark = pytest.mark.long

STEP = 8
"""Of so many lines a data plane is killed at one."""


class Site:
    """A store, an issuer, and houses."""

    def __init__(self, folder, url=None, *, table=False):
        self.folder = folder
        self.store = Store.make(folder / "data", url)
        self.store.dataset()
        self.authority = Authority(folder)
        self.issuer = Rotating(self.authority)
        put(self.store, self.issuer)
        self.session = self.store.token()
        self.taking = Taking(self.store, table=table)
        self.houses = []

    def house(self, **options):
        self.houses.append(RefreshHouse(self.folder, self.store, self.issuer, self.authority, **options))
        return self.houses[-1]

    def info(self):
        with self.taking.lock:
            return self.store.info("API")

    def codes(self):
        return [each.code for each in self.info().warnings]

    def lease(self):
        """What the store says of whose turn it is."""
        found = self.store.sql("SELECT body FROM documents WHERE key LIKE 'lease/%'")
        return json.loads(bytes(found[0][0])) if found else None

    def put(self, **more):
        """Store another login; returns its refresh token."""
        value = self.issuer.login()
        with self.taking.lock:
            put(self.store, self.issuer, value, **more)
        return json.loads(value)["refresh_token"]

    def close(self):
        for each in self.houses:
            each.close()
        self.taking.close()
        self.issuer.close()
        self.store.close()


@pytest.fixture
async def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("shared", [True, False], ids=["workers", "machines"])
async def test_a_thousand_first_uses_make_one_call(site, shared):
    """Of four processes, which share a folder or the database alone; the new refresh token is the next version."""
    houses = [site.house(state=site.folder / "state" if shared else None) for _ in range(4)]
    got = await asyncio.gather(*[house.token(site.session) for house in houses for _ in range(250)])
    assert set(got) == set(site.issuer.tokens) and (site.issuer.calls, site.issuer.reused) == (1, 0)
    await until(lambda: site.info().version == 2)
    await until(lambda: houses[0].value(site.session) == site.issuer.current()[0])
    assert await houses[1].token(site.session) in site.issuer.tokens and site.issuer.calls == 1
    assert site.codes() == []


@pytest.mark.needs("postgresql")
async def test_two_proxies_and_one_database(tmp_path):
    """With folders of their own: lines go through the table, turns and the token come out of the database."""
    url = cluster().url("refreshing")
    site = Site(tmp_path, url, table=True)
    shippers, houses = [], []
    try:
        for name in ("one", "two"):
            for each in ("keys", "state"):
                shutil.copytree(site.store.data / each, tmp_path / name / each)
            shippers.append(Shipper(url, tmp_path / name / "spool"))
            shippers[-1].start()
            houses.append(site.house(data=tmp_path / name, state=tmp_path / name / "state"))
        for number in (1, 2, 3):
            got = await asyncio.gather(*[house.token(site.session) for house in houses for _ in range(100)])
            assert set(got) == {site.issuer.tokens[-1]} and (site.issuer.calls, site.issuer.reused) == (number, 0)
            await until(lambda number=number: site.info().version == number + 1)
            for house in houses:  # what the API takes no more
                await until(lambda house=house: house.has(site.session, site.issuer.current()[0]))
                house.now += 61
                await house.token(site.session)
                house.tokens.doubt(house.last.plan)
        assert [house.value(site.session) for house in houses] == site.issuer.current() * 2
    finally:
        for each in shippers:
            each.close()
        site.close()
        cluster().drop("refreshing")


async def test_it_is_renewed_without_a_login(site):
    """Again and again, each time with the newest; what was rotated out is searched for, and so is what is in use."""
    house = site.house(state=site.folder / "state")
    for number in range(1, 5):
        assert await house.token(site.session) == site.issuer.tokens[-1] and site.issuer.calls == number
        seen = " ".join([site.issuer.tokens[-1], *site.issuer.current()])
        assert house.last.scrubber.text(seen.encode()) == b"#{SECRETS.API} #{SECRETS.API}", "at once, the new one too"
        await until(lambda number=number: site.info().version == number + 1)
        house.now += 3600
    await house.token(site.session)
    text = " ".join(site.issuer.secrets)
    assert house.last.scrubber.text(text.encode()) == b" ".join([b"#{SECRETS.API}"] * len(site.issuer.secrets))
    assert (site.issuer.reused, site.issuer.faults, site.codes()) == (0, [], [])


async def test_a_provider_that_does_not_rotate(site):
    """Its tokens are shared like others, and no version is written."""
    site.issuer.rotates = False
    houses = [site.house(), site.house()]
    for number in (1, 2):
        got = await asyncio.gather(*[house.token(site.session) for house in houses for _ in range(50)])
        assert len(set(got)) == 1 == site.info().version and site.issuer.calls == number
        await until(lambda: site.lease()["intent"] == "")
        for house in houses:
            house.now += 61
            house.tokens.doubt(house.last.plan)


def hang_up(request, conn):
    return


def cut(request, conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{")


TOKEN = {"access_token": "a" * 40, "token_type": "Bearer", "expires_in": 3600}
NEW = "n" * 40
LOST = {
    "the connection": hang_up,
    "a fault": response(b"", status=b"500 Oops"),
    "a gateway": response(b"", status=b"502 Bad Gateway"),
    "another success": answer({**TOKEN, "refresh_token": NEW}, status=b"202 Accepted"),
    "no JSON": answer(b"<html>"),
    "cut": cut,
    "one that stands still": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
    "one that cannot be kept": answer({**TOKEN, "refresh_token": "x" * 9000}),
    "one that cannot be searched for": answer({**TOKEN, "refresh_token": "short"}),
    "no text": answer({**TOKEN, "refresh_token": [NEW]}),
    "twice": answer(json.dumps({**TOKEN, "refresh_token": NEW}).encode()[:-1] + b', "refresh_token": "other-other"}'),
}


@pytest.mark.parametrize("name", LOST)
async def test_what_nobody_knows_is_not_tried_again(site, monkeypatch, name):
    """Whether the refresh token is used up: it is not sent again until another is stored, or its owner says that it may be."""
    if name == "one that stands still":
        monkeypatch.setattr(refreshing, "PATIENCE", 3.0)  # which is waited for, twice
    houses = [site.house(), site.house()]
    site.issuer.instead += [LOST[name]]
    assert await houses[0].code(site.session) == "needs_login" and site.issuer.calls == 1
    await until(lambda: site.codes() == ["needs_login"])
    for house in houses:
        house.now += 61
        await until(lambda house=house: house.spent(site.session))
        assert await house.code(site.session) == "needs_login" and site.issuer.calls == 1
    site.put()
    await until(lambda: not houses[1].spent(site.session))
    assert await houses[1].token(site.session) == site.issuer.tokens[-1] and site.codes() == []
    site.put(reuse="accepted")
    site.issuer.instead += [LOST[name]]
    calls = site.issuer.calls
    await until(lambda: houses[0].value(site.session) == site.issuer.current()[-1])
    assert await houses[0].code(site.session) == "token_unavailable" and site.issuer.calls == calls + 1
    await until(lambda: site.lease()["intent"] == "")
    houses[0].now += 61
    assert await houses[0].token(site.session) == site.issuer.tokens[-1] and site.codes() == []


async def test_what_was_not_taken_is_tried_again(site, monkeypatch):
    """Where the endpoint says that it has not looked, or nothing was sent; a refusal of the client ends no login."""
    monkeypatch.setattr(refreshing, "PAUSES", (0.01, 0.01))
    house = site.house()
    busy = response(b"", status=b"503 Busy")
    site.issuer.instead += [busy, response(b"", status=b"429 Slow down")]
    assert await house.token(site.session) == site.issuer.tokens[-1] and site.issuer.calls == 3
    for code, fault in {
        "token_unavailable": [busy] * 3,
        "token_refused": [answer({"error": "invalid_client"}, status=b"401 No")],
    }.items():
        site.put()
        site.issuer.instead += fault
        await until(lambda: house.value(site.session) == site.issuer.current()[-1])
        assert await house.code(site.session) == code
        await until(lambda: site.lease()["intent"] == "")
        house.now += 61
        assert await house.token(site.session) == site.issuer.tokens[-1]
    assert (site.issuer.reused, site.codes()) == (0, [])


async def test_a_login_that_the_provider_ended(site):
    """`invalid_grant` is said as it is; a new value ends it, an old version does not come back."""
    house = site.house()
    await house.token(site.session)
    await until(lambda: site.info().version == 2)
    for tokens in site.issuer.logins.values():
        tokens.clear()
    house.now += 3600
    assert await house.code(site.session) == "needs_login"
    await until(lambda: site.codes() == ["needs_login"])
    with site.taking.lock, pytest.raises(Conflict) as caught:
        site.store.vault.entries.activate(site.store.owner, site.store.scope(), Kind.SECRET, "API", 1)
    assert caught.value.code == "version_spent"
    calls = site.issuer.calls
    site.put()
    await until(lambda: not house.spent(site.session))
    assert await house.token(site.session) == site.issuer.tokens[-1] and site.issuer.calls == calls + 1
    await until(lambda: site.info().version == 4)
    actions = [row.body["action"] for row in site.store.vault.log.list(site.store.owner).items]
    assert (actions.count("store:needs_login"), actions.count("store:rotate")) == (1, 2)


async def test_a_token_without_an_end_loses_no_refresh_token(site):
    """What came in the place of the old one is kept, though there is no token to use."""
    house = site.house()
    new = site.issuer.login()
    site.issuer.instead += [answer({"access_token": "a" * 40, "refresh_token": json.loads(new)["refresh_token"]})]
    assert await house.code(site.session) == "token_unavailable"
    await until(lambda: site.info().version == 2)
    house.now += 61
    await until(lambda: house.value(site.session) == json.loads(new)["refresh_token"])
    assert await house.token(site.session) == site.issuer.tokens[-1]


@pytest.mark.parametrize("change", ["put", "delete", "rename", "disable", "narrow", "activate"])
async def test_what_changes_while_the_endpoint_answers(site, change):
    """A version that was put, activated or deleted meanwhile stays; what leaves the secret itself as it is loses nothing."""
    house, store, entries = site.house(), site.store, site.store.vault.entries
    before = site.issuer.current()[0]
    where = store.owner, store.scope(), Kind.SECRET, "API"
    if change == "activate":
        site.put()
        await until(lambda: house.value(site.session) != before)
    site.issuer.gate.clear()
    waiting = asyncio.create_task(house.code(site.session))
    await until(lambda: site.issuer.log)
    manual = None
    if change == "put":
        manual = site.put()
    with site.taking.lock:
        if change == "delete":
            entries.delete(*where)
        elif change == "rename":
            entries.patch(*where, Change(name="OTHER"))
        elif change == "disable":
            entries.disable(*where)
        elif change == "narrow":
            entries.patch(*where, Change(locations=["header"]))
        elif change == "activate":
            entries.activate(*where, 1)
    site.issuer.gate.set()
    await waiting
    await until(lambda: site.lease() is None or site.lease()["intent"] == "")
    if change == "disable":
        with site.taking.lock:
            entries.enable(*where)
    if change == "rename":
        with site.taking.lock:
            entries.patch(store.owner, store.scope(), Kind.SECRET, "OTHER", Change(name="API"))
    if change == "delete":
        with pytest.raises(NotFound):
            site.info()
        return
    login = site.issuer.logins[manual or before]  # what was done by hand counts, though it may be traded by now
    await until(lambda: house.has(site.session, login[-1]))
    info = site.info()
    assert site.issuer.reused == 0 and info.locations == (["header"] if change == "narrow" else info.locations)


async def test_a_turn_that_nobody_ends(site, monkeypatch):
    """Its proxy has died: the others wait, and after its time the secret needs a login. A word that comes late still counts."""
    monkeypatch.setattr(refreshing, "TURN", 0.3)
    monkeypatch.setattr(leases_of_the_store, "LASTS", 0.0)
    dead, alive = site.house(), site.house()
    grant = dead.services.entering(site.session).grant("API")
    leases = dead.reader.leases
    asked = leases.ask(grant, leases.standing(grant).lease)
    dead.spool.write(Event("lease", lease=asked))
    await until(lambda: site.lease() and site.lease()["intent"] == asked.intent)
    assert await alive.code(site.session) == "token_unavailable" and site.issuer.calls == 0
    site.taking.late()
    assert site.codes() == ["needs_login"]
    await until(lambda: alive.spent(site.session))
    alive.now += 61
    assert await alive.code(site.session) == "needs_login" and site.issuer.calls == 0
    new = json.loads(site.issuer.login())["refresh_token"]
    value = SecretValue(site.issuer.value(new))
    dead.spool.write(Event("lease", lease=leases.successor(grant).made(asked, None, value)), synced=True)
    await until(lambda: site.codes() == [] and site.info().version == 2)
    await until(lambda: alive.has(site.session, new))


STEPS = [
    name
    for name in vars(refreshing.Refreshing)
    if name != "__init__" and callable(getattr(refreshing.Refreshing, name))
]


@pytest.mark.parametrize("step", STEPS)
async def test_a_fault_sends_nothing_twice(site, monkeypatch, step):
    """In any step of a trade: what it cannot say is `internal`, and a refresh token that was sent is not sent again."""

    def fails(*_, **__):
        raise RuntimeError("fault-canary-text")

    house = site.house()
    with monkeypatch.context() as patch:
        patch.setattr(refreshing.Refreshing, step, fails)
        first = await outcome(house, site.session)
    assert first in {"internal", "needs_login", "token"}
    calls = site.issuer.calls
    house.now += 61
    monkeypatch.setattr(refreshing, "TURN", 0.3)  # a turn that nobody ends, if the fault left one
    second = await outcome(house, site.session)
    assert site.issuer.reused == 0 and site.issuer.calls <= calls + 1
    if first != "token" and calls:
        assert second in {"needs_login", "token_unavailable"}, "nobody knows what came of it"


async def outcome(house, session):
    try:
        await house.token(session)
    except Refused as refused:
        return refused.refusal.code
    return "token"


async def test_a_full_disk_keeps_what_came(site, monkeypatch):
    """It is tried until it is written, even where no more lines are accepted; only then the token is used."""
    house, failed = site.house(), []
    monkeypatch.setattr(asyncio, "sleep", functools.partial(brief, asyncio.sleep))
    write = house.spool.write

    def full(event, **options):
        if event.lease is not None and event.lease.what == "made" and len(failed) < 3:
            failed.append(event)
            raise SpoolError("full")
        house.spool.held = (lambda: True) if options else bool
        write(event, **options)

    monkeypatch.setattr(house.spool, "write", full)
    assert await house.token(site.session) == site.issuer.tokens[-1] and len(failed) == 3
    await until(lambda: site.info().version == 2)


async def brief(sleep, seconds):
    await sleep(min(seconds, 0.05))


async def test_a_proxy_that_ends_cuts_nothing_short(site):
    """It waits for the answer, and for the disk; one that is cut short all the same says that a login is needed."""
    house = site.house()
    site.issuer.gate.clear()
    waiting = asyncio.create_task(house.token(site.session))
    await until(lambda: site.issuer.log)
    ending = asyncio.create_task(house.border.settled(60))
    await asyncio.sleep(0)
    assert not ending.done()
    site.issuer.gate.set()
    await ending
    house.border.close()
    await asyncio.wait([waiting])
    await until(lambda: site.info().version == 2 and site.codes() == [])
    other, calls = site.house(), len(site.issuer.log)
    site.put()
    site.issuer.gate.clear()
    waiting = asyncio.create_task(other.token(site.session))
    await until(lambda: len(site.issuer.log) > calls)
    await other.border.settled(0)
    other.border.close()
    waiting.cancel()
    await until(lambda: site.codes() == ["needs_login"])
    site.issuer.gate.set()


async def test_only_a_data_plane_is_believed(site):
    """Nor is what is sealed for other rules, another number, or another secret; the database holds nothing in plain."""
    house = site.house()
    grant = house.services.entering(site.session).grant("API")
    leases = house.reader.leases
    asked = leases.ask(grant, leases.standing(grant).lease)
    house.spool.write(Event("lease", lease=replace(asked, mac="0" * 64)))
    house.spool.write(Event("lease", lease=replace(asked, version=7)))
    value = SecretValue(site.issuer.login())
    for number, wrong in enumerate(("hosts", "version", "name", "locations")):
        site.put()
        await until(lambda number=number: house.services.entering(site.session).grant("API").version == number + 2)
        grant = house.services.entering(site.session).grant("API")
        asked = leases.ask(grant, leases.standing(grant).lease)
        house.spool.write(Event("lease", lease=asked))
        await until(lambda asked=asked: site.lease() and site.lease()["intent"] == asked.intent)
        made = leases.successor(grant)
        other = {"hosts": ["evil.test"], "version": 9, "name": "OTHER", "locations": ["url"]}[wrong]
        made = made._replace(binding=replace(made.binding, **{wrong: other}))
        house.spool.write(Event("lease", lease=made.made(asked, None, value)))
        await until(lambda: site.codes() == ["needs_login"])
        assert site.info().version == number + 2


async def test_nothing_shows_a_token(site, caplog):
    """Not the database, a file, a log, what is kept, or the repr of any of it."""
    house = site.house(state=site.folder / "state")
    for _ in range(2):
        await house.token(site.session)
        await until(lambda: site.lease()["intent"] == "")
        house.now += 3600
    with site.taking.lock:
        dump = site.store.dump()
    shown = repr(
        [house.last.plan, house.tokens.__dict__, house.tokens.kept.by_identity, *house.last.plan.grants.values()]
    )
    files = b"".join(path.read_bytes() for path in (site.folder / "state").rglob("*") if path.is_file())
    for each in site.issuer.secrets:
        assert each.encode() not in dump + files and each not in shown + caplog.text
    assert len(site.issuer.secrets) > 5


async def test_killed_at_each_line(site, monkeypatch):
    """Between the intent and the disk: either the store has the newest refresh token, or it says that a login is needed."""
    monkeypatch.setattr(leases_of_the_store, "LASTS", 0.0)
    words = [site.folder, site.store.data, site.store.url, site.authority.path, site.session]
    script = Path(__file__).parents[2] / "support" / "refresh_killed.py"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    victim = await asyncio.create_subprocess_exec(sys.executable, script, *words, env=environ, **pipes)
    alive, went, number = site.house(state=site.folder / "state"), Counter(), 0
    while True:
        number += STEP
        login = site.put()
        victim.stdin.write(b"%d\n" % number)
        code = int(await victim.stdout.readline())
        assert code in {0, -signal.SIGKILL}, number
        site.taking.late()
        said = await alive.code(site.session)
        went[said, code] += 1
        assert said in {"token", "needs_login"} and site.issuer.reused == 0, number
        if said == "token":
            await until(lambda login=login: alive.has(site.session, site.issuer.logins[login][-1]))
        assert site.codes() == ([] if said == "token" else ["needs_login"]), number
        if code == 0:
            break
    victim.stdin.close()
    await victim.wait()
    assert went["token", -signal.SIGKILL] > 3 and went["needs_login", -signal.SIGKILL] > 3, went
