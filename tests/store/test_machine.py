"""A state machine of vault verbs against a plain dictionary, checked through the reader after every step."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule
from postgres import cluster
from stores import Store, use

from store.errors import Conflict, Invalid, NotAuthenticated, NotFound
from store.model import Denial, Kind, SecretValue
from store.records import Change, NewEntry
from store.vault import Upload, Vault

HOSTS = ["a.example.com", "b.example.com"]
names = st.sampled_from(["A", "B", "C"])
values = st.integers(0, 999).map(lambda number: b"value-%06d" % number)
levels = st.sampled_from(["", "default", "ds"])
hosts = st.sets(st.sampled_from(HOSTS)).map(frozenset)


class Entry:
    def __init__(self):
        self.versions = {}
        self.last = self.active = 0
        self.enabled = True


class Machine(RuleBasedStateMachine):
    """`model[level][name]` is an `Entry` whose versions are (value, hosts) or None when destroyed."""

    sessions = Bundle("sessions")

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store.make(self.folder / "data", self.url())
        self.store.dataset()
        self.model = {"": {}, "default": {}, "ds": {}}
        self.live = {}
        self.reader = self.store.reader(max_stale=3600)
        self.probe = self.store.caller(self.reader)

    def url(self):
        return None

    def teardown(self):
        if hasattr(self, "reader"):
            self.reader.close()
            self.store.close()
            shutil.rmtree(self.folder)

    def scope(self, level):
        return {"": self.store.owner.scope(), "default": self.store.owner.scope("default")}.get(
            level, self.store.scope()
        )

    def args(self, level):
        return self.store.owner, self.scope(level), Kind.SECRET

    @rule(level=levels, name=names, value=values, to=st.none() | hosts)
    def put(self, level, name, value, to):
        info = self.store.vault.entries.put(
            *self.args(level), NewEntry(name, SecretValue(value), hosts=None if to is None else sorted(to))
        )
        entry = self.model[level].setdefault(name, Entry())
        before = entry.versions.get(entry.active)
        entry.last += 1
        entry.active, entry.enabled = entry.last, True
        entry.versions[entry.last] = (value, to if to is not None else before[1] if before else frozenset())
        assert info.version == entry.last

    @rule(level=levels, name=names)
    def delete(self, level, name):
        if self.model[level].pop(name, None) is None:
            self.expect(NotFound, self.store.vault.entries.delete, *self.args(level), name)
        else:
            self.store.vault.entries.delete(*self.args(level), name)

    @rule(level=levels, name=names, number=st.integers(1, 6))
    def activate(self, level, name, number):
        entry = self.model[level].get(name)
        if entry is None or number > entry.last:
            self.expect(NotFound, self.store.vault.entries.activate, *self.args(level), name, number)
        elif entry.versions[number] is None:
            self.expect(Conflict, self.store.vault.entries.activate, *self.args(level), name, number)
        else:
            self.store.vault.entries.activate(*self.args(level), name, number)
            entry.active = number

    @rule(level=levels, name=names, number=st.integers(1, 6))
    def destroy(self, level, name, number):
        entry = self.model[level].get(name)
        if entry is None or number > entry.last:
            self.expect(NotFound, self.store.vault.entries.destroy, *self.args(level), name, number)
            return
        self.store.vault.entries.destroy(*self.args(level), name, number)
        entry.versions[number] = None
        if entry.active == number:
            entry.active = 0

    @rule(level=levels, name=names, to=hosts)
    def narrow(self, level, name, to):
        entry = self.model[level].get(name)
        if entry is None:
            self.expect(NotFound, self.store.vault.entries.patch, *self.args(level), name, Change(hosts=sorted(to)))
        elif entry.active == 0:
            self.expect(NotFound, self.store.vault.entries.patch, *self.args(level), name, Change(hosts=sorted(to)))
        elif to <= entry.versions[entry.active][1]:
            self.store.vault.entries.patch(*self.args(level), name, Change(hosts=sorted(to)))
            entry.versions[entry.active] = (entry.versions[entry.active][0], to)
        else:
            self.expect(Invalid, self.store.vault.entries.patch, *self.args(level), name, Change(hosts=sorted(to)))

    @rule(level=levels, name=names, enabled=st.booleans())
    def switch(self, level, name, enabled):
        verb = self.store.vault.entries.enable if enabled else self.store.vault.entries.disable
        entry = self.model[level].get(name)
        if entry is None:
            self.expect(NotFound, verb, *self.args(level), name)
        else:
            verb(*self.args(level), name)
            entry.enabled = enabled

    @rule(wanted=st.dictionaries(names, st.tuples(values, hosts)))
    def replace(self, wanted):
        secrets = [NewEntry(name, SecretValue(value), hosts=sorted(to)) for name, (value, to) in wanted.items()]
        self.store.vault.datasets.replace(self.store.owner, "default", "ds", Upload("set", secrets=secrets))
        for name in set(self.model["ds"]) - set(wanted):
            del self.model["ds"][name]
        for name, version in wanted.items():
            entry = self.model["ds"].setdefault(name, Entry())
            entry.last += 1
            entry.active, entry.enabled = entry.last, True
            entry.versions[entry.last] = version

    @rule(target=sessions, declared=st.none() | st.sets(names))
    def open(self, declared):
        caller = self.store.caller(self.reader, secrets=None if declared is None else sorted(declared))
        self.live[caller.session] = caller
        return caller.session

    @rule(session=consumes(sessions))
    def revoke(self, session):
        self.store.vault.sessions.revoke(self.store.owner, "default", "ds", session)
        caller = self.live.pop(session)
        self.reader._refresh()
        self.expect(NotAuthenticated, self.reader.view, caller)

    @precondition(lambda self: hasattr(self, "store"))
    @rule()
    def restart(self):
        self.store.vault.close()
        self.store.vault = Vault.open(self.store.url, self.store.data)

    @invariant()
    def the_reader_sees_the_model(self):
        if not hasattr(self, "store"):
            return
        self.reader._refresh()
        view = self.reader.view(self.probe)
        for name in ("A", "B", "C"):
            entry = next(
                (self.model[level][name] for level in ("ds", "default", "") if name in self.model[level]), None
            )
            for host in HOSTS:
                grant = view.resolve(Kind.SECRET, name, use(host))
                if entry is None or not entry.enabled or entry.active == 0:
                    assert grant is Denial.UNKNOWN
                elif host in entry.versions[entry.active][1]:
                    assert grant.open().reveal() == entry.versions[entry.active][0]
                    assert grant.version == entry.active
                else:
                    assert grant is Denial.DESTINATION
        active = {
            entry.versions[entry.active][0] for level in self.model.values() for entry in level.values() if entry.active
        }
        assert active <= {each.value.reveal() for each in view.values()}

    @invariant()
    def sessions_are_limited_to_what_they_declared(self):
        for caller in getattr(self, "live", {}).values():
            view = self.reader.view(caller)
            for name in ("A", "B", "C"):
                if caller.declared is not None and name not in caller.declared:
                    assert view.resolve(Kind.SECRET, name, use(HOSTS[0])) is Denial.UNKNOWN

    def expect(self, error, verb, *args):
        try:
            verb(*args)
        except error:
            return
        raise AssertionError(f"{error.__name__} was due")


class OnPostgresql(Machine):
    """The same machine on PostgreSQL."""

    def url(self):
        return cluster().url("machine")

    def teardown(self):
        super().teardown()
        cluster().drop("machine")


def steps(examples):
    return settings(max_examples=examples, stateful_step_count=25, suppress_health_check=list(HealthCheck))


class TestMachine(Machine.TestCase):
    settings = steps(15)


@pytest.mark.needs("postgresql")
class TestOnPostgresql(OnPostgresql.TestCase):
    settings = steps(5)
