"""Where secrets go that name no hosts: the nearest of dataset, project and organisation, as they are signed."""

import base64

import pytest
from stores import CANARY, Store, secret, use

from store.access import Principal
from store.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed, Tampered
from store.keys.envelope import Binding
from store.model import Denial, Kind, SecretValue
from store.records import NewEntry
from store.vault import NewKey, NewSession, ScopeChange, Upload


def say(store: Store, scope, hosts):
    return store.vault.settings.change(store.owner, scope, ScopeChange(hosts=hosts))


def free(name="API_KEY", **fields) -> NewEntry:
    return NewEntry(name, SecretValue(CANARY + b"Lt5Rv"), **fields)


def said(info) -> set[str]:
    return {each.code for each in info.warnings} - {"weak_value"}


def hosts_of(made) -> list:
    return made.secrets[0].hosts


def test_an_upload_without_hosts_takes_the_nearest_word(store):
    """Dataset, project, organisation; the answer, and every later one, says whose word it was."""
    organisation, project = store.owner.scope(), store.owner.scope("default")
    nowhere = store.dataset(free(), dataset="a")
    assert (hosts_of(nowhere), said(nowhere.secrets[0])) == ([], {"no_destinations"})
    say(store, organisation, ["Org.example.com"])
    by_organisation = store.dataset(free(), dataset="b")
    assert (hosts_of(by_organisation), said(by_organisation.secrets[0])) == (
        ["org.example.com"],
        {"hosts_of_organisation"},
    )
    say(store, project, ["project.example.com", {"host": "two.example.com", "methods": ["post"]}])
    by_project = store.dataset(free(), dataset="c")
    assert hosts_of(by_project)[0] == "project.example.com" and len(hosts_of(by_project)) == 2
    assert said(by_project.secrets[0]) == said(store.info(dataset="c")) == {"hosts_of_project"}
    by_dataset = store.dataset(free(), dataset="d", hosts=["own.example.com"])
    assert (hosts_of(by_dataset), said(by_dataset.secrets[0])) == (["own.example.com"], set())
    assert hosts_of(store.dataset(free(hosts=["named.example.com"]), dataset="e")) == ["named.example.com"]
    assert hosts_of(store.dataset(free(provider="github"), dataset="f"))[0]["host"].endswith("github.com")
    assert store.info(dataset="a").hosts == [], "what is stored already stays as it is"


def test_what_was_filled_in_is_where_it_goes(store, reader):
    """The data plane injects there and nowhere else; a default that moves afterwards moves no value."""
    say(store, store.owner.scope("default"), ["project.example.com"])
    store.dataset(free())
    say(store, store.owner.scope("default"), ["elsewhere.example.com"])
    view = reader.view(store.caller(reader))
    assert view.resolve(Kind.SECRET, "API_KEY", use("project.example.com")).open().reveal() == CANARY + b"Lt5Rv"
    assert view.resolve(Kind.SECRET, "API_KEY", use("elsewhere.example.com")) is Denial.DESTINATION


def test_nowhere_can_be_said_at_every_level(store):
    """An empty list is a word, and no word is none."""
    say(store, store.owner.scope(), ["org.example.com"])
    say(store, store.owner.scope("default"), [])
    assert hosts_of(store.dataset(free(), dataset="a")) == []
    say(store, store.owner.scope("default"), "")
    assert store.vault.settings.get(store.owner, store.owner.scope("default")).hosts is None
    assert hosts_of(store.dataset(free(), dataset="b")) == ["org.example.com"]
    assert hosts_of(store.dataset(free(), dataset="c", hosts=[])) == []
    assert store.put(free("LATER"), dataset="c").hosts == [], "the dataset said it for what comes later, too"
    assert hosts_of(store.dataset(free(hosts=[]), dataset="d")) == []
    upload = Upload("set", secrets=[free()])
    assert hosts_of(store.vault.datasets.replace(store.owner, "default", "c", upload)) == ["org.example.com"]


def test_a_single_secret_takes_the_default_when_it_is_new_and_keeps_what_it_has(store):
    """A rotation stays where it is, whatever the project says by now. A project's own secrets have defaults too."""
    store.dataset(secret(hosts=["old.example.com"]))
    say(store, store.owner.scope("default"), ["project.example.com"])
    say(store, store.owner.scope(), ["org.example.com"])
    kept = store.put(free())
    assert (kept.hosts, kept.version, said(kept)) == (["old.example.com"], 2, set())
    new = store.put(free("NEW"))
    assert (new.hosts, said(new)) == (["project.example.com"], {"hosts_of_project"})
    for scope, host in ((store.owner.scope("default"), "project"), (store.owner.scope(), "org")):
        made = store.vault.entries.put(store.owner, scope, Kind.SECRET, free())
        assert made.hosts == [f"{host}.example.com"]


def test_variables_are_not_bound_by_what_is_said_of_secrets(store):
    """They go anywhere; a dataset's own hosts bind them, as they always did."""
    say(store, store.owner.scope("default"), ["project.example.com"])
    variable = NewEntry("REGION", SecretValue(b"eu"))
    assert store.dataset(variables=[variable], dataset="a").variables[0].hosts == []
    assert store.put(variable, dataset="a", kind=Kind.VARIABLE).hosts == []
    bound = store.dataset(variables=[variable], dataset="b", hosts=["own.example.com"])
    assert bound.variables[0].hosts == ["own.example.com"]


def test_the_rows_say_nothing_of_it(store):
    """The word is in the signed manifest: an edit of the database changes neither default nor list."""
    say(store, store.owner.scope("default"), ["project.example.com"])
    store.dataset(hosts=["own.example.com"])
    store.sql("UPDATE datasets SET hosts = '[\"evil.example.com\"]'")
    assert store.put(free()).hosts == ["own.example.com"]
    assert "project.example.com" not in str(store.sql("SELECT * FROM projects"))
    listed = store.vault.projects.list(store.owner).items[0]
    assert (listed.id, listed.hosts) == ("default", ["project.example.com"])


def test_a_project_is_made_with_hosts_and_renamed(store):
    """Both are told by the list; the ETag goes on."""
    made = store.vault.projects.create(store.owner, "Two", "two", ["api.example.com"])
    assert (
        made
        == store.vault.settings.get(store.owner, store.owner.scope("two"))
        == store.vault.projects.list(store.owner).items[1]
    )
    renamed = store.vault.settings.change(
        store.owner, store.owner.scope("two"), ScopeChange("Three"), if_match=made.etag
    )
    assert (renamed.name, renamed.hosts) == ("Three", ["api.example.com"])
    assert store.vault.projects.list(store.owner).items[1].name == "Three"
    with pytest.raises(PreconditionFailed):
        store.vault.settings.change(store.owner, store.owner.scope("two"), ScopeChange("Four"), if_match=made.etag)
    with pytest.raises(Invalid) as caught:
        say(store, store.owner.scope("two"), ["*.com"])
    assert caught.value.problems[0].pointer == "/hosts/0"
    with pytest.raises(NotFound):
        say(store, store.owner.scope("none"), [])


def restricted(store: Store, *actions: str, **limits) -> Principal:
    wish = NewKey("k", "restricted", actions=list(actions), ttl=3600, **limits)
    return store.vault.keys.authenticate(store.vault.keys.create(store.owner, wish)[1].reveal().decode())


def test_who_says_where_values_go_may_write_secrets(store):
    """The right to projects alone redirects nobody's upload; who uploads may know the defaults."""
    project = store.owner.scope("default")
    only = restricted(store, "projects:write", "projects:read")
    assert store.vault.settings.change(only, project, ScopeChange("Renamed")).name == "Renamed"
    with pytest.raises(Forbidden):
        store.vault.settings.change(only, project, ScopeChange(hosts=["evil.example.com"]))
    with pytest.raises(Forbidden):
        store.vault.projects.create(only, "Two", "two", ["evil.example.com"])
    limited = restricted(store, "projects:write", "secrets:write", projects=["default"])
    assert store.vault.settings.change(limited, project, ScopeChange(hosts=["api.example.com"])).hosts
    with pytest.raises(NotFound):
        store.vault.settings.change(limited, store.owner.scope(), ScopeChange(hosts=["api.example.com"]))
    uploader = restricted(store, "secrets:write", "datasets:write", datasets=["default/to-come"])
    told = store.vault.settings.defaults(uploader, store.owner.scope("default", "to-come"))
    assert [(each.level, each.hosts) for each in told] == [("project", ["api.example.com"])]
    with pytest.raises(Forbidden):
        store.vault.settings.defaults(restricted(store, "audit:read"), project)


def test_an_envelope_is_not_stored_for_rules_that_it_was_not_sealed_for(store):
    """Without a word of what it was sealed for, and with hosts that would be filled in, it is refused with the remedy."""
    say(store, store.owner.scope("default"), ["project.example.com"])
    with store.vault._gate.database.read() as connection:
        sealer = store.vault._gate.sealing(connection)
    binding = Binding(store.vault._gate.keys.public.store_id, sealer.kid, store.scope(), Kind.SECRET, "", "API_KEY", 1, [], ["body", "header", "message", "url"])  # fmt: skip
    envelope = sealer.seal(SecretValue(CANARY), binding)
    with pytest.raises(Invalid) as caught:
        store.dataset(NewEntry("API_KEY", sealed=envelope))
    assert caught.value.problems[0].code == "sealed_unbound" and "`hosts`" in caught.value.problems[0].detail
    assert base64.b64encode(envelope).decode() not in repr(caught.value.problems)
    assert store.dataset(NewEntry("API_KEY", sealed=envelope, hosts=[])).secrets[0].hosts == []


def test_a_damaged_project_stops_what_needs_its_word(store):
    """Fail closed: nothing is filled in from what does not verify; an upload with hosts of its own goes on."""
    say(store, store.owner.scope("default"), ["project.example.com"])
    store.sql("UPDATE documents SET body = :body WHERE key = 'manifest/default/default'", body=b"{}")
    store.vault._gate.ledger._recent.manifests._kept.clear()
    with pytest.raises(Tampered):
        store.dataset(free(), dataset="a")
    assert [each.hosts for each in store.vault.projects.list(store.owner).items] == [None]


def test_sessions_of_a_dataset_go_on(store, reader):
    """To change a default touches nobody's session."""
    store.dataset(secret())
    _, token = store.vault.sessions.open(store.owner, "default", "ds", NewSession())
    say(store, store.owner.scope("default"), ["project.example.com"])
    view = reader.view(reader.caller(token.reveal().decode()))
    assert view.resolve(Kind.SECRET, "API_KEY", use()).open().reveal() == CANARY


def test_a_dataset_says_it_later(store):
    """For what is put in from then on; by who may write secrets there too; never in an immutable dataset."""
    store.dataset(free(), hosts=["first.example.com"])
    change = store.vault.datasets.change
    before = store.vault.datasets.get(store.owner, "default", "ds")
    after = change(store.owner, "default", "ds", ScopeChange("renamed", ["Second.example.com"]), if_match=before.etag)
    assert (after.name, after.hosts, after.etag != before.etag) == ("renamed", ["second.example.com"], True)
    assert hosts_of(after) == ["first.example.com"], "what is stored already stays as it is"
    assert store.put(free("NEW")).hosts == ["second.example.com"]
    with pytest.raises(PreconditionFailed):
        change(store.owner, "default", "ds", ScopeChange("x"), if_match=before.etag)
    assert change(store.owner, "default", "ds", ScopeChange(hosts="")).hosts == []
    say(store, store.owner.scope("default"), ["project.example.com"])
    assert store.put(free("LATER")).hosts == ["project.example.com"]
    wish = NewKey("k", "restricted", actions=["datasets:write", "datasets:read"], ttl=3600)
    small = store.vault.keys.authenticate(store.vault.keys.create(store.owner, wish)[1].reveal().decode())
    assert change(small, "default", "ds", ScopeChange("by a small key")).name == "by a small key"
    with pytest.raises(Forbidden):
        change(small, "default", "ds", ScopeChange(hosts=["evil.example"]))
    store.dataset(free(), dataset="fixed", immutable=True)
    with pytest.raises(Conflict):
        change(store.owner, "default", "fixed", ScopeChange(hosts=["other.example.com"]))
