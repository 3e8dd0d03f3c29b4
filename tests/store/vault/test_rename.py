"""Another name for what is there: at once, for whom has it, with every version, and nothing of the value is needed."""

import pytest
from stores import CANARY, eventually, secret, use

from store.errors import Conflict, Forbidden, Invalid, NotFound
from store.model import NAME, Denial, Kind, SecretValue
from store.operator.reseal import new_opening_key, reseal
from store.records import Change, NewEntry
from store.vault import Declaration, Listing, NewKey, NewMember, NewSession


def rename(store, name, new, kind=Kind.SECRET, **options):
    return store.vault.entries.patch(store.owner, store.scope(), kind, name, Change(name=new), **options)


def opened(reader, store, name="NEW", **options):
    found = reader.view(store.caller(reader, **options)).resolve(Kind.SECRET, name, use())
    return found if isinstance(found, Denial) else found.open().reveal()


def test_a_renamed_secret_opens_under_its_new_name_alone(store, reader):
    """For sessions opened before, too: the old name is as unknown to them as any."""
    store.dataset(secret("OLD"), secret("OTHER", b"other-value-1"))
    before = store.caller(reader)
    assert opened(reader, store, "OLD") == CANARY
    info = rename(store, "OLD", "NEW")
    assert (info.name, info.version, info.id) == ("NEW", 1, store.info("NEW").id)
    for caller in (before, store.caller(reader)):
        view = reader.view(caller)
        assert view.resolve(Kind.SECRET, "OLD", use()) is Denial.UNKNOWN
        assert view.resolve(Kind.SECRET, "NEW", use()).open().reveal() == CANARY
    assert opened(reader, store, "OTHER") == b"other-value-1"
    assert reader.alarms == 0
    with pytest.raises(NotFound):
        store.info("OLD")


def test_every_version_goes_with_it_and_back(store, reader):
    """Versions of both names are activated under whatever name it has now; the place that is free is a new secret's."""
    store.dataset(secret("OLD", b"first-value-1"))
    rename(store, "OLD", "NEW")
    store.put(secret("NEW", b"second-value-1"))
    store.put(secret("OLD", b"another-one-1"))
    assert (opened(reader, store), opened(reader, store, "OLD")) == (b"second-value-1", b"another-one-1")
    store.vault.entries.activate(store.owner, store.scope(), Kind.SECRET, "NEW", 1)
    assert opened(reader, store) == b"first-value-1"
    rename(store, "NEW", "THIRD")
    assert opened(reader, store, "THIRD") == b"first-value-1"
    store.vault.entries.delete(store.owner, store.scope(), Kind.SECRET, "OLD")
    assert rename(store, "THIRD", "OLD").version == 1
    assert opened(reader, store, "OLD") == b"first-value-1"
    store.vault.entries.activate(store.owner, store.scope(), Kind.SECRET, "OLD", 2)
    assert opened(reader, store, "OLD") == b"second-value-1"
    assert reader.alarms == 0


def test_a_renamed_secret_is_sealed_anew_with_the_others(store, reader):
    """Rotating the opening key opens it by the name that it is bound to."""
    store.dataset(secret("OLD"))
    rename(store, "OLD", "NEW")
    store.vault.sealing_keys.register(store.owner, new_opening_key(store.data))
    for batch in reseal(store.url, store.data):
        assert store.vault.sealing_keys.take_resealed(store.owner, batch) == 1
    eventually(lambda: opened(reader, store) == CANARY)


def test_the_sweep_finds_nothing(store):
    """What was renamed is as it was signed, and a row that is renamed behind the store's back is mended."""
    store.dataset(secret("OLD"))
    rename(store, "OLD", "NEW")
    sweep = store.vault.sweep()
    for _ in range(5):
        sweep.turn()
    assert store.vault.alarms.present() == []
    store.sql("UPDATE entries SET name = 'OLD'")
    assert store.info("NEW").name == "NEW"


def test_what_cannot_be_a_name_or_is_taken_is_refused(store):
    """Nothing has changed then."""
    store.dataset(secret("OLD"), secret("TAKEN", b"other-value-1"))
    with pytest.raises(Conflict):
        rename(store, "OLD", "TAKEN")
    with pytest.raises(Invalid) as caught:
        rename(store, "OLD", "lower")
    assert caught.value.problems[0].pointer == "/name"
    assert rename(store, "OLD", "OLD").name == "OLD"
    assert {each.name for each in store.vault.datasets.get(store.owner, "default", "ds").secrets} == {"OLD", "TAKEN"}


def test_a_variable_is_renamed_in_its_environment(store, reader):
    """One entry is meant: that of the environment."""
    variable = NewEntry("REGION", SecretValue(b"eu"))
    store.dataset(variables=[variable, NewEntry("REGION", SecretValue(b"us"), environment="prod")])
    rename(store, "REGION", "PLACE", Kind.VARIABLE, environment="prod")
    held = {(each.name, each.environment): each.value for each in store.vault.datasets.get(store.owner, "default", "ds").variables}  # fmt: skip
    assert held == {("REGION", ""): "eu", ("PLACE", "prod"): "us"}


def test_an_id_names_what_it_is_of(store):
    """In every verb on what is there; it is of this scope and kind, and never a name."""
    store.dataset(secret("OLD"), dataset="other")
    store.dataset(secret("OLD"))
    id_ = store.info("OLD").id
    assert not NAME.fullmatch(id_)
    entries, scope = store.vault.entries, store.scope()
    assert entries.info(store.owner, scope, Kind.SECRET, id_).name == "OLD"
    assert rename(store, id_, "NEW").name == "NEW"
    assert entries.disable(store.owner, scope, Kind.SECRET, id_).state == "disabled"
    assert entries.enable(store.owner, scope, Kind.SECRET, id_).state == "active"
    assert entries.versions(store.owner, scope, Kind.SECRET, id_)[0].number == 1
    for place, kind in ((store.scope("other"), Kind.SECRET), (scope, Kind.VARIABLE)):
        with pytest.raises(NotFound):
            entries.info(store.owner, place, kind, id_)
        with pytest.raises(NotFound):
            entries.delete(store.owner, place, kind, id_)
    entries.delete(store.owner, scope, Kind.SECRET, id_)
    with pytest.raises(NotFound):
        entries.info(store.owner, scope, Kind.SECRET, id_)


def said(info):
    return next((each.detail for each in info.warnings if each.code == "still_named"), "")


def variable(name, text):
    return NewEntry(name, SecretValue(text.encode()))


def test_who_still_says_the_old_name_is_told(store):
    """Consumers, live sessions, values of variables, here and in scopes inside; nobody else's, and once."""
    owner = store.owner
    wide = store.vault.entries.put(owner, store.owner.scope("default"), Kind.SECRET, secret("OLD"))
    assert wide.version == 1
    headers = [variable("HEADER", "Bearer #{SECRETS.OLD}"), variable("URL", "?k=%23%7BSECRETS.OLD%7d")]
    other = [variable("LONGER", "#{SECRETS.OLDER}"), variable("KIND", "#{VARS.OLD}"), variable("PLAIN", "SECRETS.OLD")]
    store.dataset(variables=[*headers, *other])
    store.vault.consumers.declare(owner, "default", "job", Declaration("Job", ["OLD", "X"]))
    store.vault.consumers.declare(owner, "default", "idle", Declaration("Idle", ["OLDER"]))
    opened = [store.vault.sessions.open(owner, "default", "ds", NewSession(secrets=names))[0].id for names in (["OLD"], ["X"], None)]  # fmt: skip
    scope, patch = store.owner.scope("default"), store.vault.entries.patch
    told = patch(owner, scope, Kind.SECRET, "OLD", Change(name="NEW"))
    assert said(told) == (
        f"The name from before is still declared by the consumer job; declared by the open session {opened[0]}; "
        "in the value of the variables HEADER of ds, URL of ds. Say the new name there; a session is opened anew."
    )
    assert said(store.vault.entries.info(owner, scope, Kind.SECRET, "NEW")) == ""
    assert said(patch(owner, scope, Kind.SECRET, "NEW", Change(description="d"))) == ""
    assert said(patch(owner, scope, Kind.SECRET, "NEW", Change(name="NEXT"))) == ""
    store.vault.entries.put(owner, scope, Kind.VARIABLE, variable("OLD", "x"))
    assert "KIND of ds" in said(patch(owner, scope, Kind.VARIABLE, "OLD", Change(name="NEWER")))


def test_who_may_not_know_of_it_is_not_told(store):
    """A key without the right to consumers, sessions and variables renames, and learns of none."""
    store.dataset(secret("OLD"), variables=[variable("HEADER", "#{SECRETS.OLD}")])
    store.vault.consumers.declare(store.owner, "default", "job", Declaration("Job", ["OLD"]))
    store.vault.sessions.open(store.owner, "default", "ds", NewSession(secrets=["OLD"]))
    wish = NewKey("k", "restricted", actions=["secrets:write"], ttl=3600)
    small = store.vault.keys.authenticate(store.vault.keys.create(store.owner, wish)[1].reveal().decode())
    told = store.vault.entries.patch(small, store.scope(), Kind.SECRET, "OLD", Change(name="NEW"))
    assert (told.name, said(told)) == ("NEW", "")


def member(store, id_, email, role="admin", **rights):
    store.vault.members.create(store.owner, NewMember(id_, email, role, id_))
    wish = NewKey(id_, "full", member=id_, ttl=3600)
    return store.vault.keys.authenticate(store.vault.keys.create(store.owner, wish)[1].reveal().decode())


def test_what_somebody_made_is_found_by_their_email(store):
    """As their document says it, in whatever case; who may not read members finds by its own alone."""
    store.dataset(secret("OWNERS"))
    ada, bob = member(store, "ada", "Ada@example.com"), member(store, "bob", "bob@example.com", "developer")
    store.vault.entries.put(ada, store.scope(), Kind.SECRET, secret("ADAS"))
    variable = NewEntry("BOBS", SecretValue(b"1"))
    store.vault.entries.put(bob, store.scope(), Kind.VARIABLE, variable)

    def found(who, email, kind=Kind.SECRET):
        page = store.vault.entries.list(who, store.scope(), kind, Listing(created_by=email))
        return [each.name for each in page.items]

    assert found(store.owner, "ada@EXAMPLE.com") == found(store.owner, "member:ada") == ["ADAS"]
    assert found(store.owner, "nobody@example.com") == []
    assert found(bob, "bob@example.com", Kind.VARIABLE) == ["BOBS"]
    assert found(bob, "ada@example.com", Kind.VARIABLE) == []


def test_a_group_that_may_write_one_entry_makes_no_new_name(store):
    """To rename is to make one: the right to what is there is not enough."""
    from store.people import GroupGrant

    store.vault.groups.create(store.owner, "Ops", "ops")
    store.dataset(secret("OLD", groups=[GroupGrant("ops", ("write",))]))
    eve = member(store, "eve", "eve@example.com", "viewer")
    store.vault.members.join(store.owner, "ops", "eve")
    eve = store.vault.keys.resume(eve.key)
    assert store.vault.entries.patch(eve, store.scope(), Kind.SECRET, "OLD", Change(description="d")).description == "d"
    with pytest.raises(Forbidden):
        store.vault.entries.patch(eve, store.scope(), Kind.SECRET, "OLD", Change(name="NEW"))


@pytest.mark.parametrize(
    ("given", "kept", "filled", "warned"),
    [
        ("openai", "openai", True, False),
        ("NVIDIA", "nvidia", True, False),
        ("OpenAI", "openai", True, False),
        ("open-ai", "open-ai", False, True),
        ("opennai", "opennai", False, True),
        ("our billing service", "our billing service", False, False),
    ],
)
def test_a_provider_is_a_preset_or_any_label(store, given, kept, filled, warned):
    """A preset fills in hosts; a label does not, and one that is nearly a preset is warned of, whenever it is shown."""
    store.dataset(secret(provider=given, hosts=None))
    info = store.info()
    assert (info.provider, bool(info.hosts)) == (kept, filled)
    assert ("unknown_provider" in {each.code for each in info.warnings}) is warned
    page = store.vault.entries.list(store.owner, store.scope(), Kind.SECRET, Listing(provider=given))
    assert [each.name for each in page.items] == ["API_KEY"]
    changed = store.vault.entries.patch(
        store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(provider=given.upper())
    )
    assert changed.provider == (kept if filled else given.upper())


def test_what_a_preset_allows_goes_by_host_whatever_the_label(store, reader):
    """A label opens nothing: at a host that a preset names, the preset is judged."""
    store.dataset(secret(provider="mine", hosts=["api.openai.com"]))
    view = reader.view(store.caller(reader))
    assert view.resolve(Kind.SECRET, "API_KEY", use("api.openai.com", header="x-other")) is Denial.LOCATION
    assert view.resolve(Kind.SECRET, "API_KEY", use("api.openai.com", header="authorization")).open().reveal() == CANARY
