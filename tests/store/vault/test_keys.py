"""API keys: shown once, least rights by default, never more than the maker's, revoked at once."""

import time

import pytest
from stores import eventually, secret

from store.access import ACTIONS, LEVELS
from store.errors import Forbidden, Invalid, NotAuthenticated, NotFound, PreconditionFailed
from store.model import Kind
from store.vault import Declaration, KeyChange, LogQuery, NewKey, NewMember, Upload


def make(store, by=None, **fields):
    info, key = store.vault.keys.create(by or store.owner, NewKey(**{"name": "k", **fields}))
    return info, key.reveal().decode()


def principal(store, by=None, **fields):
    return store.vault.keys.authenticate(make(store, by, **fields)[1])


def test_a_key_is_shown_once_and_stored_hashed(store):
    """No byte of the database is the key; the listing has its id alone."""
    before = time.time()
    info, key = make(store)
    assert key.startswith(f"egk_{info.id}_")
    for part in (key, key.rpartition("_")[2]):
        assert part.encode() not in store.dump()
    assert key not in repr(store.vault.keys.list(store.owner))
    assert info.permission == "read_only"
    assert before - 0.001 <= info.expires_at - 90 * 86400 <= time.time()  # kept in milliseconds


@pytest.mark.parametrize("mangle", [lambda k: "", lambda k: k[:-1], lambda k: k + "x", lambda k: k.swapcase(), lambda k: k.replace("egk", "egs"), lambda k: k[:20] + ("A" if k[20] != "A" else "B") + k[21:], lambda k: "é" + k])  # fmt: skip
def test_other_keys_are_refused_alike(store, mangle):
    """One sentence for all, and a row in the log."""
    _, key = make(store)
    with pytest.raises(NotAuthenticated) as caught:
        store.vault.keys.authenticate(mangle(key), source="10.0.0.1", request_id="r1")
    assert "unknown, expired or revoked" in caught.value.detail
    row = store.vault.log.list(store.owner, LogQuery(action="keys:authenticate")).items[0]
    assert (row.body["outcome"], row.body["source"], row.body["request_id"]) == ("denied", "10.0.0.1", "r1")


def test_a_revoked_key_ends_at_once(store):
    """Also for the one who holds its principal, at the next authentication."""
    info, key = make(store)
    store.vault.keys.revoke(store.owner, info.id)
    with pytest.raises(NotAuthenticated):
        store.vault.keys.authenticate(key)
    with pytest.raises(NotFound):
        store.vault.keys.get(store.owner, info.id)


def test_a_key_ends_by_the_clock(store):
    """After its time it is as unknown as any other."""
    _, key = make(store, ttl=1)
    store.vault.keys.authenticate(key)

    def ended():
        with pytest.raises(NotAuthenticated):
            store.vault.keys.authenticate(key)

    eventually(ended, 2.5)


def test_rotation_with_overlap(store):
    """Both work during the overlap, the old one ends with it; without overlap it ends now."""
    info, old = make(store, permission="full", projects=["default"])
    fresh, key = store.vault.keys.rotate(store.owner, info.id, 1)
    new = key.reveal().decode()
    assert (fresh.permission, fresh.projects, fresh.name) == ("full", ("default",), "k")
    store.vault.keys.authenticate(old)
    store.vault.keys.authenticate(new)

    def ended():
        with pytest.raises(NotAuthenticated):
            store.vault.keys.authenticate(old)

    eventually(ended, 2.5)
    store.vault.keys.rotate(store.owner, fresh.id)
    with pytest.raises(NotAuthenticated):
        store.vault.keys.authenticate(new)
    for bad in (-1, 31 * 86400):
        with pytest.raises(Invalid):
            store.vault.keys.rotate(store.owner, info.id, bad)


def _not_found(verb, *arguments):
    with pytest.raises(NotFound):
        verb(*arguments)


def test_levels_do_what_they_say(store):
    """Each level against each kind of verb."""
    store.dataset(secret())
    verbs = {
        "secrets:read": lambda p: store.vault.entries.list(p, p.scope("default", "ds"), Kind.SECRET),
        "secrets:write": lambda p: store.vault.entries.put(p, p.scope("default", "ds"), Kind.SECRET, secret()),
        "variables:write": lambda p: store.vault.entries.put(p, p.scope("default", "ds"), Kind.VARIABLE, secret("V")),
        "datasets:read": lambda p: store.vault.datasets.get(p, "default", "ds"),
        "datasets:write": lambda p: store.vault.datasets.create(p, "default", Upload("x")),
        "projects:read": lambda p: store.vault.projects.list(p),
        "projects:write": lambda p: store.vault.projects.create(p, "x"),
        "sessions:open": lambda p: store.vault.sessions.open(p, "default", "ds"),
        "sessions:read": lambda p: store.vault.sessions.list(p, "default", "ds"),
        "sessions:revoke": lambda p: store.vault.sessions.revoke_all(p, "default", "ds"),
        "keys:read": lambda p: store.vault.keys.list(p),
        "keys:write": lambda p: store.vault.keys.create(p, NewKey("x", "restricted")),
        "members:read": lambda p: store.vault.members.list(p),
        "members:write": lambda p: store.vault.members.create(p, NewMember("x")),
        "consumers:read": lambda p: store.vault.consumers.list(p, "default"),
        "consumers:write": lambda p: store.vault.consumers.declare(p, "default", "c", Declaration("x", [])),
        "audit:read": lambda p: store.vault.log.list(p),
        "audit:acknowledge": lambda p: _not_found(store.vault.log.acknowledge, p, "none"),
    }
    for level in ("full", "read_only", "rater_only"):
        actor = principal(store, permission=level)
        for action, verb in verbs.items():
            if action in LEVELS[level]:
                verb(actor)
            else:
                with pytest.raises(Forbidden):
                    verb(actor)
    for action, verb in verbs.items():
        one = principal(store, permission="restricted", actions=[action])
        verb(one)
        for other, attempt in verbs.items():
            if other != action:
                with pytest.raises(Forbidden):
                    attempt(one)
    assert set(verbs) | {"variables:read"} == ACTIONS


def test_limits_hide_what_is_outside(store):
    """404 for other projects and datasets, in every verb; lists show what is inside alone."""
    store.dataset(secret())
    store.dataset(secret(), dataset="two")
    store.vault.projects.create(store.owner, "p", "other")
    store.vault.datasets.create(store.owner, "other", Upload("x", secrets=[secret()]), "ds")
    one = principal(store, permission="full", datasets=["default/ds"])
    store.vault.datasets.get(one, "default", "ds")
    for attempt in (
        lambda: store.vault.datasets.get(one, "default", "two"),
        lambda: store.vault.datasets.get(one, "other", "ds"),
        lambda: store.vault.entries.put(one, one.scope("default"), Kind.SECRET, secret()),
        lambda: store.vault.entries.put(one, one.scope(), Kind.SECRET, secret()),
        lambda: store.vault.sessions.open(one, "other", "ds"),
        lambda: store.vault.datasets.create(one, "default", Upload("x"), "new"),
        lambda: store.vault.datasets.list(one, "other"),
        lambda: store.vault.log.list(one),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert [info.id for info in store.vault.datasets.list(one, "default").items] == ["ds"]
    assert [info.id for info in store.vault.projects.list(one).items] == ["default"]
    project = principal(store, permission="full", projects=["other"])
    store.vault.entries.put(project, project.scope("other"), Kind.SECRET, secret())
    with pytest.raises(NotFound):
        store.vault.datasets.list(project, "default")
    with pytest.raises(NotFound):
        store.vault.entries.put(project, project.scope(), Kind.SECRET, secret())


def test_no_key_grants_more_than_its_maker_has(store):
    """Level, actions, projects, datasets, life: a maker passes on at most its own."""
    small = principal(
        store, permission="restricted", actions=["keys:write", "secrets:read", "keys:read"], projects=["default"]
    )
    limited = {"projects": ["default"]}
    assert small.scope() != small.scope("default")
    with pytest.raises(NotFound):
        make(store, small, **limited)  # keys belong to the organisation; a key limited to a project makes none
    small = principal(store, permission="restricted", actions=["keys:write", "secrets:read", "keys:read"], ttl=3600)
    info, _ = make(store, small, permission="restricted", actions=["secrets:read"], ttl=7200)
    assert info.expires_at <= small.expires_at
    for fields in (
        {"permission": "full"},
        {"permission": "owner"},
        {"permission": "read_only"},
        {"permission": "restricted", "actions": ["secrets:write"]},
    ):
        with pytest.raises(Forbidden):
            make(store, small, **fields)
    full, _ = make(store, permission="full")
    for attempt in (
        lambda: store.vault.keys.patch(small, full.id, KeyChange(name="mine")),
        lambda: store.vault.keys.rotate(small, full.id),
        lambda: store.vault.keys.revoke(small, full.id),
        lambda: store.vault.keys.patch(small, info.id, KeyChange(permission="full")),
        lambda: store.vault.keys.patch(principal(store, permission="full"), store.owner.key, KeyChange(name="mine")),
    ):
        with pytest.raises(Forbidden):
            attempt()


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"permission": "root"}, "/permission"),
        ({"permission": "full", "actions": ["secrets:read"]}, "/actions"),
        ({"permission": "restricted", "actions": ["secrets:reveal"]}, "/actions/0"),
        ({"access": ["values"]}, "/access/0"),
        ({"projects": ["a/b"]}, "/projects/0"),
        ({"datasets": ["ds"]}, "/datasets/0"),
        ({"projects": ["a"], "datasets": ["b/ds"]}, "/datasets/0"),
        ({"sources": ["10.0.0.0/99"]}, "/sources/0"),
        ({"ttl": 0}, "/ttl"),
        ({"ttl": 400 * 86400}, "/ttl"),
    ],
)
def test_bad_wishes_are_refused(store, fields, pointer):
    """With a pointer."""
    with pytest.raises(Invalid) as caught:
        make(store, **fields)
    assert caught.value.problems[0].pointer == pointer


def test_access_limits_a_level_to_areas(store):
    """Full, but for secrets alone."""
    info, _ = make(store, permission="full", access=["secrets"])
    assert info.actions == ("secrets:read", "secrets:write")


def test_sources_limit_where_a_key_works(store):
    """Networks of both families; mapped IPv4; an unknown source fails."""
    _, key = make(store, sources=["10.1.0.0/16", "2001:db8::/32"])
    for source in ("10.1.2.3", "2001:db8::5", "::ffff:10.1.2.3"):
        store.vault.keys.authenticate(key, source=source)
    for source in ("10.2.0.1", "2001:db9::1", "", "junk", "::ffff:10.2.0.1"):
        with pytest.raises(NotAuthenticated):
            store.vault.keys.authenticate(key, source=source)


def test_a_patched_key_keeps_what_was_not_named(store):
    """And its ETag guards it."""
    info, key = make(store, permission="full", projects=["default"])
    changed = store.vault.keys.patch(store.owner, info.id, KeyChange(name="renamed"), if_match=info.etag)
    assert (changed.name, changed.permission, changed.projects) == ("renamed", "full", ("default",))
    assert changed.expires_at == info.expires_at
    with pytest.raises(PreconditionFailed):
        store.vault.keys.patch(store.owner, info.id, KeyChange(name="x"), if_match=info.etag)
    assert store.vault.keys.authenticate(key).permission == "full"
    small = store.vault.keys.patch(store.owner, info.id, KeyChange(permission="restricted", actions=["audit:read"]))
    assert small.actions == ("audit:read",)
    again = store.vault.keys.patch(store.owner, info.id, KeyChange(name="y"))
    assert again.actions == ("audit:read",)


def test_a_found_key_can_be_ended_by_anyone(store):
    """Showing it is enough; a key that is not live tells nothing."""
    info, key = make(store)
    assert store.vault.keys.report_leaked(key, source="203.0.113.9")
    with pytest.raises(NotAuthenticated):
        store.vault.keys.report_leaked(key)
    row = store.vault.log.list(store.owner, LogQuery(action="keys:report")).items[0]
    assert row.body["target"] == f"keys/{info.id}"


def test_last_use_is_flushed_to_the_minute(store):
    """Enough to find stale keys."""
    before = time.time()
    info, key = make(store)
    assert info.last_used_at is None
    store.vault.keys.authenticate(key)
    store.vault.tend()
    used = store.vault.keys.get(store.owner, info.id).last_used_at
    assert before - 60 < used <= time.time()
    assert used % 60 == 0


def test_two_organisations_share_nothing(store):
    """Every verb of one tenant against the other's objects is a 404, told like a missing one."""
    key = store.vault.organisations.create(store.owner, "acme", "Acme").reveal().decode()
    acme = store.vault.keys.authenticate(key)
    assert acme.organisation == "acme"
    store.dataset(secret())
    session, _ = store.vault.sessions.open(store.owner, "default", "ds")
    foreign = store.owner.scope("default", "ds")
    mine, _ = make(store)
    attempts = {
        "secret put": lambda: store.vault.entries.put(acme, foreign, Kind.SECRET, secret()),
        "secret info": lambda: store.vault.entries.info(acme, foreign, Kind.SECRET, "API_KEY"),
        "secret list": lambda: store.vault.entries.list(acme, foreign, Kind.SECRET),
        "organisation": lambda: store.vault.entries.put(acme, store.owner.scope(), Kind.SECRET, secret()),
        "dataset": lambda: store.vault.datasets.get(acme, "default", "ds"),
        "dataset delete": lambda: store.vault.datasets.delete(acme, "default", "ds"),
        "session": lambda: store.vault.sessions.revoke(acme, "default", "ds", session.id),
        "key": lambda: store.vault.keys.revoke(acme, mine.id),
    }
    for name, attempt in attempts.items():
        with pytest.raises(NotFound) as caught:
            attempt()
        assert caught.value.detail == "There is no such object, or this key may not see it.", name
    assert store.vault.datasets.list(acme, "default").items == ()
    assert mine.id not in {info.id for info in store.vault.keys.list(acme).items}
    assert {row.body["scope"].partition("/")[0] for row in store.vault.log.list(acme).items} == {"acme"}
    with pytest.raises(Forbidden):
        store.vault.organisations.create(acme, "evil", "Evil")
    store.vault.datasets.create(acme, "default", Upload("x", secrets=[secret(value=b"acme-value-123")]), "ds")
    assert store.vault.datasets.get(store.owner, "default", "ds").secrets[0].version == 1
