"""The read gate: what a session may use, how fast it hears of changes, and what it refuses."""

import datetime as dt

import pytest
from stores import CANARY, eventually, secret, use

from store.errors import NotAuthenticated
from store.model import Denial, Kind, Location, SecretValue
from store.records import Change, NewEntry
from store.vault import Upload


def opened(view, name="API_KEY", at=None, kind=Kind.SECRET):
    return view.resolve(kind, name, at or use()).open().reveal()


def test_a_session_opens_its_secret_at_its_destination(store, reader):
    """What was uploaded comes out where it may, byte for byte."""
    store.dataset(secret())
    view = reader.view(store.caller(reader))
    assert opened(view) == CANARY


def test_denials_name_the_rule_that_failed(store, reader):
    """Unknown, wrong destination, wrong location: in this order."""
    store.dataset(secret(locations=["header"]), secret("NOWHERE", hosts=()))
    view = reader.view(store.caller(reader))
    assert view.resolve(Kind.SECRET, "NOPE", use()) is Denial.UNKNOWN
    assert view.resolve(Kind.SECRET, "API_KEY", use("evil.example")) is Denial.DESTINATION
    assert view.resolve(Kind.SECRET, "API_KEY", use(secure=False)) is Denial.DESTINATION
    assert view.resolve(Kind.SECRET, "API_KEY", use(port=8443)) is Denial.DESTINATION
    assert view.resolve(Kind.SECRET, "API_KEY", use(location=Location.URL)) is Denial.LOCATION
    assert view.resolve(Kind.SECRET, "NOWHERE", use()) is Denial.DESTINATION


def test_an_unbound_secret_goes_anywhere_but_in_the_clear(store):
    """Where secrets without destinations are allowed at all; a variable is public, and goes there too."""
    everywhere = sorted(location.value for location in Location)
    store.dataset(secret(hosts=(), locations=everywhere))
    store.put(secret("REGION", b"eu-west-1", hosts=None, locations=everywhere), kind=Kind.VARIABLE)
    reader = store.reader(unbound_secrets=True)
    view = reader.view(store.caller(reader))
    reader.close()
    for location in Location:
        assert opened(view, at=use("any.example", location)) == CANARY
        clear = use("any.example", location, secure=False)
        assert view.resolve(Kind.SECRET, "API_KEY", clear) is Denial.DESTINATION
        assert opened(view, "REGION", clear, Kind.VARIABLE) == b"eu-west-1"
        assert view.reachable(use("any.example").destination, location)
    store.vault.entries.delete(store.owner, store.scope(), Kind.VARIABLE, "REGION")
    reader = store.reader(unbound_secrets=True)
    view = reader.view(store.caller(reader))
    reader.close()
    for location in Location:
        assert view.reachable(use("any.example").destination, location)
        assert not view.reachable(use("any.example", secure=False).destination, location)


@pytest.mark.parametrize(
    ("sealed", "narrowed", "location"),
    [
        ({"headers": ["x-key", "authorization"]}, {"headers": ["x-key"]}, Location.HEADER),
        ({}, {"headers": ["x-key"]}, Location.HEADER),
        ({"methods": ["GET", "POST"]}, {"methods": ["POST"]}, Location.BODY),
        ({"paths": ["/v1/*"]}, {"paths": ["/v1/me"]}, Location.BODY),
    ],
)
def test_what_was_sealed_and_what_was_narrowed_must_both_permit(store, reader, sealed, narrowed, location):
    """A use that the first rules permit and the narrower ones do not is denied."""
    store.dataset(secret(hosts=[{"host": "api.example.com", **sealed}], locations=["header", "body"]))

    def asked():
        view = reader.view(store.caller(reader))
        was = use(location=location, method="GET", path="/v1/other", header="authorization")
        left = use(location=location, method="POST", path="/v1/me", header="x-key")
        return [isinstance(view.resolve(Kind.SECRET, "API_KEY", each), Denial) for each in (was, left)]

    assert asked() == [False, False]
    change = Change(hosts=[{"host": "api.example.com", **narrowed}])
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "API_KEY", change)
    reader._refresh()
    assert asked() == [True, False]


def test_a_new_version_reaches_a_view_within_a_second(store, reader):
    """PUT, then the next view opens the new value, and the old one is still scrubbed."""
    store.dataset(secret())
    caller = store.caller(reader)
    key = reader.view(caller).key
    store.put(NewEntry("API_KEY", SecretValue(b"second-value")))
    eventually(lambda: opened(reader.view(caller)) == b"second-value", 1.0)
    assert reader.view(caller).key != key
    assert {each.value.reveal() for each in reader.view(caller).values()} == {CANARY, b"second-value"}


def test_revocation_reaches_the_reader_within_a_second(store, reader):
    """A revoked session has no view, and its token no caller."""
    store.dataset(secret())
    token = store.token()
    caller = reader.caller(token)
    store.vault.sessions.revoke(store.owner, "default", "ds", caller.session)

    def refused():
        with pytest.raises(NotAuthenticated):
            reader.view(caller)

    eventually(refused, 1.0)
    with pytest.raises(NotAuthenticated):
        reader.caller(token)


def test_a_new_upload_replaces_the_whole_set(store, reader):
    """Names that the new upload lacks are gone at once, their values are still scrubbed."""
    store.dataset(secret(), secret("OLD", b"old-value-123"))
    caller = store.caller(reader)
    store.vault.datasets.replace(store.owner, "default", "ds", Upload("set", secrets=[secret("NEW", b"new-value-123")]))
    eventually(lambda: opened(reader.view(caller), "NEW") == b"new-value-123", 1.0)
    view = reader.view(caller)
    assert view.resolve(Kind.SECRET, "OLD", use()) is Denial.UNKNOWN
    assert {each.value.reveal() for each in view.values()} == {CANARY, b"old-value-123", b"new-value-123"}


def test_binds_is_about_whatever_could_come_back(store, reader):
    """Undeclared, of another environment, narrowed, disabled or rotated out a moment ago: all bind; strangers do not."""
    dead = secret("DEAD", b"dead-value-123", hosts=["dead.example.com"])
    store.dataset(
        secret(), secret("STAGED", b"staged-value-1", hosts=["*.staged.example.com"], environment="staging"), dead
    )
    store.put(secret("NARROW", b"narrow-value-1", hosts=["wide.example.com", "narrow.example.com"]))
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "NARROW", Change(hosts=["narrow.example.com"]))
    store.vault.entries.disable(store.owner, store.scope(), Kind.SECRET, "DEAD")
    store.put(secret("MOVED", b"moved-value-12", hosts=["old.example.com"]))
    store.put(secret("MOVED", b"moved-value-34", hosts=["http://new.example.com"]))
    store.put(secret("NOWHERE", b"nowhere-value1", hosts=None))
    caller = store.caller(reader, secrets=("API_KEY",))
    reader._refresh()
    view = reader.view(caller)
    bound = ["api", "narrow", "wide", "dead", "old", "a.staged"]
    assert [host for host in bound if not view.binds(use(f"{host}.example.com").destination)] == []
    assert view.binds(use("new.example.com", secure=False).destination)
    free = ["new", "other", "staged"]
    assert [host for host in free if view.binds(use(f"{host}.example.com").destination)] == []
    assert not view.binds(use("api.example.com", port=8443).destination)


def test_a_variable_without_hosts_binds_every_host(store, reader):
    """Its placeholder may stand anywhere, so everything is looked into."""
    store.dataset(secret())
    view = reader.view(store.caller(reader))
    assert not view.binds(use("other.example.com").destination)
    store.put(secret("REGION", b"eu-west-1", hosts=None), kind=Kind.VARIABLE)
    reader._refresh()
    view = reader.view(store.caller(reader))
    assert view.binds(use("other.example.com").destination)


def test_a_value_reaches_what_was_sealed_with_it(store, reader):
    """Whatever was narrowed since, declared or not; `scrub_hosts` adds hosts, and is signed with the egress list."""
    strong = secret("STRONG", b"Zk3vQ9xPw2LmN8rT5yB1cD6fG4hJ7sA0eU", hosts=["a.example.com", "*.example.net"])
    upload = Upload(
        "set", secrets=[strong, secret("WEAK", b"weak-value", hosts=["a.example.com"])],
        egress={"default": "allow", "scrub_hosts": ["Logs.Example.org", "*.dumps.example.org"]},
    )  # fmt: skip
    store.vault.datasets.create(store.owner, "default", upload, "ds")
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "STRONG", Change(hosts=["a.example.com"]))
    view = reader.view(store.caller(reader, secrets=["WEAK"]))
    found = {each.name: each for each in view.values()}
    assert [found["STRONG"].reaches(host) for host in ("a.example.com", "b.example.net", "example.com", "x.org")] == [
        True, True, True, False,
    ]  # fmt: skip
    assert [found["WEAK"].reaches(host) for host in ("a.example.com", "b.example.com")] == [True, False]
    assert [view.searched(host) for host in ("logs.example.org", "x.dumps.example.org", "dumps.example.org")] == [
        True, True, False,
    ]  # fmt: skip
    assert view.names == {"WEAK"}


def test_what_code_is_told_of_its_session(store, reader):
    """Names that it may use, as they are narrowed now; variables with their values; no value of a secret."""
    bound = [{"host": "api.example.com", "headers": ["x-key", "authorization"]}]
    store.dataset(secret(hosts=bound), secret("OTHER"), secret("NOWHERE", hosts=()))
    store.put(secret("REGION", b"eu-west-1", hosts=None), kind=Kind.VARIABLE)
    store.vault.entries.put(
        store.owner, store.scope(""), Kind.VARIABLE, secret("OURS", "für alle".encode(), hosts=None)
    )
    store.put(secret("OURS", b"prod only", hosts=None, environment="prod"), kind=Kind.VARIABLE)
    narrowed = [{"host": "api.example.com", "headers": ["x-key"]}]
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(hosts=narrowed))
    reader._refresh()
    view = reader.view(store.caller(reader, secrets=["API_KEY", "NOWHERE", "NEVER_WAS"]))
    about = view.about()
    every = ["body", "header", "message", "url"]
    assert about == {
        "dataset": "ds",
        "expires_at": about["expires_at"],
        "secrets": [
            {"name": "API_KEY", "kind": "static", "hosts": narrowed, "locations": every},
            {"name": "NOWHERE", "kind": "static", "hosts": [], "locations": every},
        ],
        "variables": {"OURS": "für alle", "REGION": "eu-west-1"},
    }
    assert dt.datetime.fromisoformat(about["expires_at"]).timestamp() == pytest.approx(view.caller.expires_at)
    prod = reader.view(store.caller(reader, environment="prod")).about()
    assert prod["variables"]["OURS"] == "prod only"
    assert [secret["name"] for secret in prod["secrets"]] == ["API_KEY", "NOWHERE", "OTHER"]
    assert CANARY.decode() not in repr((about, prod))


def test_hosts_that_a_page_is_told(store, reader):
    """Those of the secrets that the session may use, as they are narrowed now; variables go to none of them."""
    wide = ["*.example.org", "http://127.0.0.1:9000", {"host": "api.example.com", "paths": ["/v1/*"]}]
    store.dataset(
        secret(hosts=wide),
        secret("OTHER", hosts=["api.example.com", "other.example.com:8443"]),
        secret("NOWHERE", hosts=()),
    )
    store.put(secret("REGION", b"eu-west-1", hosts=["variables.example.com"]), kind=Kind.VARIABLE)
    reader._refresh()
    every = ["*.example.org", "127.0.0.1:9000", "api.example.com", "other.example.com:8443"]
    assert reader.view(store.caller(reader)).hosts == every
    assert reader.view(store.caller(reader, secrets=["OTHER", "NEVER_WAS"])).hosts == every[2:]
    assert reader.view(store.caller(reader, secrets=["NOWHERE"])).hosts == []
    store.vault.entries.patch(
        store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(hosts=["http://127.0.0.1:9000"])
    )
    reader._refresh()
    assert reader.view(store.caller(reader)).hosts == every[1:]
