"""What is made never has more than its maker: every limit of a key, every verb that makes or changes.

The limits come from the documents themselves: a new member of one fails here until somebody has judged it.
"""

import json

import pytest
from people import member
from stores import secret

from store import bounds
from store.access import ACTIONS
from store.bounds import LIMITS, SAYS_NO_RIGHT, SESSION_LIMITS, SESSION_SAYS_NO_RIGHT, exceeded, of_session
from store.errors import Conflict, Forbidden, Invalid, NotFound
from store.roles import Member
from store.vault import Declaration, KeyChange, MemberChange, NewKey, NewMember, NewSession

DAY = 86_400
MOST = ["keys:read", "keys:write", "members:read", "members:write", "projects:write", "sessions:open", "sessions:read"]
WIDE = {"permission": "full", "ttl": 30 * DAY}

# limit: (what the maker is limited to, the same with more, whether a made document is inside)
CASES = {
    "permission": ({"permission": "restricted", "actions": sorted(ACTIONS)}, {"permission": "full", "actions": ()}, lambda d: d["permission"] in {"restricted", "rater_only"}),
    "access": ({"permission": "full", "access": ["keys", "members", "projects", "sessions"]}, {"access": ["keys", "secrets"]}, lambda d: d["permission"] != "full" or set(d["access"] or ["?"]) <= {"keys", "members", "projects", "sessions"}),
    "actions": ({"permission": "restricted", "actions": MOST}, {"permission": "restricted", "actions": [*MOST, "secrets:write"]}, lambda d: set(d["actions"]) <= set(MOST)),
    "projects": ({**WIDE, "projects": ["default"]}, {"projects": ["default", "other"]}, lambda d: d["projects"] == ["default"]),
    "datasets": ({**WIDE, "datasets": ["default/ds"]}, {"datasets": ["default/ds", "default/two"]}, lambda d: d["datasets"] == ["default/ds"]),
    "consumers": ({**WIDE, "consumers": ["plugin"]}, {"consumers": ["plugin", "more"]}, lambda d: d.get("consumers") == ["plugin"] or d.get("consumer") == "plugin"),
    "sources": ({**WIDE, "sources": ["10.1.0.0/16"]}, {"sources": ["10.0.0.0/8"]}, lambda d: d["sources"] == ["10.1.0.0/16"]),
    "member": (WIDE, {}, lambda d: d["member"] == "mia"),
    "expires_at": ({**WIDE, "ttl": 60}, {"ttl": 30 * DAY}, None),
}  # fmt: skip


class Scene:
    """A maker with one limit, a key of the same kind, and one that has more."""

    def __init__(self, store, limit):
        self.store, self.limit = store, limit
        limited, more, self.inside = CASES[limit]
        store.dataset(secret())
        store.vault.consumers.declare(store.owner, "default", "plugin", Declaration("Plugin", []))
        self.limited, self.more = {**WIDE, **limited}, {**WIDE, **limited, **more}
        whose = {"member": "mia"} if limit == "member" else {}
        if whose:
            member(store, "owner")
        self.maker = self.key(**self.limited, **whose)
        self.same = self.key(**self.limited, **whose)
        self.wider = self.key(**self.more)
        source = {"sources": "10.1.2.3"}.get(limit, "")
        self.who = store.vault.keys.authenticate(self.maker[1], source=source)
        self.ends = self.document("apikey", self.maker[0])["expires_at"]

    def key(self, **fields):
        info, key = self.store.vault.keys.create(self.store.owner, NewKey("k", **fields))
        return info.id, key.reveal().decode()

    def document(self, kind, id_):
        return json.loads(
            bytes(self.store.sql("SELECT body FROM documents WHERE key = :key", key=f"{kind}/{id_}")[0][0])
        )

    def fits(self, document):
        return (
            document["expires_at"] is not None and document["expires_at"] <= self.ends
            if self.inside is None
            else self.inside(document)
        )

    def change(self):
        fields = {name: value for name, value in self.more.items() if name in KeyChange.__dataclass_fields__}
        return KeyChange(**fields)


def create(scene):
    return "apikey", scene.store.vault.keys.create(scene.who, NewKey("made", **scene.more))[0].id


def create_without(scene):
    return "apikey", scene.store.vault.keys.create(scene.who, NewKey("made", ttl=None))[0].id


def create_same(scene):
    """The control: what is not more may be made."""
    return "apikey", scene.store.vault.keys.create(scene.who, NewKey("made", **scene.limited))[0].id


def edit_another(scene):
    return "apikey", scene.store.vault.keys.patch(scene.who, scene.same[0], scene.change()).id


def edit_itself(scene):
    return "apikey", scene.store.vault.keys.patch(scene.who, scene.who.key, scene.change()).id


def rotate_another(scene):
    return "apikey", scene.store.vault.keys.rotate(scene.who, scene.wider[0])[0].id


def rotate_itself(scene):
    return "apikey", scene.store.vault.keys.rotate(scene.who, scene.who.key)[0].id


def overlap(scene):
    return "apikey", scene.store.vault.keys.rotate(scene.who, scene.who.key, 30 * DAY) and scene.who.key


def open_a_session(scene):
    options = NewSession(ttl=7 * DAY, consumer="plugin")
    return "session", scene.store.vault.sessions.open(scene.who, "default", "ds", options)[0].id


def open_a_free_session(scene):
    return "session", scene.store.vault.sessions.open(scene.who, "default", "ds", NewSession(ttl=7 * DAY, sources=[]))[
        0
    ].id


def recover(scene):
    return "apikey", scene.store.vault.keys.recover_owner(scene.who)


def found(scene):
    return "apikey", scene.store.vault.organisations.create(scene.who, "acme", "Acme")


VERBS = (create, create_without, create_same, edit_another, edit_itself, rotate_another, rotate_itself, overlap, open_a_session, open_a_free_session, recover, found)  # fmt: skip
OF_KEYS = {"permission", "access", "actions", "projects", "datasets"}
"""Limits that a session has by where it is opened: it administers nothing."""


def test_every_member_of_a_document_is_judged(store):
    """Each is a limit, or is said to give nothing; and each limit is tried below."""
    store.dataset(secret())
    session, _ = store.vault.sessions.open(store.owner, "default", "ds")
    owner = json.loads(bytes(store.sql("SELECT body FROM documents WHERE key = :key", key=f"apikey/{store.owner.key}")[0][0]))  # fmt: skip
    made, _ = store.vault.keys.create(store.owner, NewKey("k"))
    key = json.loads(bytes(store.sql("SELECT body FROM documents WHERE key = :key", key=f"apikey/{made.id}")[0][0]))
    assert owner.keys() <= key.keys() == LIMITS.keys() | SAYS_NO_RIGHT
    assert not LIMITS.keys() & SAYS_NO_RIGHT
    document = json.loads(bytes(store.sql("SELECT body FROM documents WHERE key = :key", key=f"session/{session.id}")[0][0]))  # fmt: skip
    assert document.keys() == SESSION_LIMITS | SESSION_SAYS_NO_RIGHT
    assert CASES.keys() == LIMITS.keys() <= {*store.owner.limits}
    assert set(Member.__slots__) == {"id", "organisation", "role", "projects", "groups", "logins_era"}


def test_logging_out_everywhere_grants_nothing(store):
    """A key that did can be changed, rotated and made keys with as before."""
    made, text = store.vault.keys.create(store.owner, NewKey("k", "full"))
    who = store.vault.keys.authenticate(text.reveal().decode())
    store.vault.keys.end_logins(who)
    assert store.vault.keys.patch(who, made.id, KeyChange(name="renamed")).name == "renamed"
    assert store.vault.keys.rotate(who, made.id)[0].permission == "full"


def test_what_nobody_judged_is_refused(store):
    """A member of a document that the tables do not know, and a limit that is left out."""
    free = {**store.owner.limits, "name": "x"}
    assert exceeded(store.owner.limits, free) == []
    assert exceeded(store.owner.limits, {**free, "regions": ["eu"]}) == ["regions"]
    for name in LIMITS:
        assert name in exceeded(store.owner.limits, {key: value for key, value in free.items() if key != name})
    session = dict.fromkeys(SESSION_LIMITS | SESSION_SAYS_NO_RIGHT, "") | {"sources": [], "expires_at": 1}
    assert exceeded(store.owner.limits, of_session(session)) == []
    assert exceeded(store.owner.limits, of_session({**session, "regions": ["eu"]})) == ["regions"]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("limit", CASES)
def test_nothing_made_has_more_than_its_maker(store, limit, verb):
    """It is refused, or it is inside the limit."""
    scene = Scene(store, limit)
    try:
        kind, made = verb(scene)
    except (Forbidden, NotFound, Conflict, Invalid):
        assert verb is not create_same or limit in {"projects", "datasets"}  # which see no keys at all
        return
    assert isinstance(made, str), "an owner's key was given away"
    if kind == "session" and limit in OF_KEYS:
        return
    document = scene.document(kind, made)
    ends = [document.get("superseded_at"), document["expires_at"]]
    document["expires_at"] = min((each for each in ends if each is not None), default=None)
    assert scene.fits(document)


@pytest.mark.parametrize("limit", ["access", "actions", "consumers", "sources"])
def test_a_limited_key_raises_no_member(store, limit):
    """By a role, a group or an address to sign in with: the member's keys have none of its limits. What is lowered is."""
    scene = Scene(store, limit)
    members = store.vault.members
    low, _ = members.create(scene.who, NewMember("low", id="low")), store.vault.groups.create(store.owner, "Ops", "ops")
    for attempt in (
        lambda: members.create(scene.who, NewMember("x", role="admin")),
        lambda: members.patch(scene.who, "low", MemberChange(role="admin")),
        lambda: members.set_role(scene.who, "default", "low", "admin"),
        lambda: members.join(scene.who, "ops", "low"),
        lambda: members.patch(scene.who, "low", MemberChange(email="mine@example.com")),
    ):
        with pytest.raises(Forbidden):
            attempt()
    assert members.get(store.owner, "low").etag == low.etag
    members.patch(store.owner, "low", MemberChange(role="admin", email="low@example.com"))
    assert members.patch(scene.who, "low", MemberChange(role="", email="")).role is None


def test_a_wider_key_is_widened_by_its_equal_alone(store):
    """More rights for a key that lives longer than who gives them would be rights beyond the giver's life."""
    short = store.vault.keys.authenticate(store.vault.keys.create(store.owner, NewKey("s", "full", ttl=60))[1].reveal().decode())  # fmt: skip
    long, _ = store.vault.keys.create(store.owner, NewKey("l", "rater_only", ttl=300 * DAY))
    with pytest.raises(Forbidden, match="ends with the key"):
        store.vault.keys.patch(short, long.id, KeyChange(permission="full"))
    assert store.vault.keys.patch(short, long.id, KeyChange(name="renamed")).expires_at == long.expires_at
    assert store.vault.keys.patch(store.owner, long.id, KeyChange(permission="full")).permission == "full"


def test_an_endless_key_is_made_by_an_endless_one(store):
    """An owner's key that ends makes owners' keys that end with it, and cannot take the last way in away."""
    _, key = store.vault.keys.create(store.owner, NewKey("o", "owner", ttl=60))
    who = store.vault.keys.authenticate(key.reveal().decode())
    made, _ = store.vault.keys.create(who, NewKey("x", "owner", ttl=None))
    assert made.expires_at == who.expires_at
    with pytest.raises(Conflict, match="last owner"):
        store.vault.keys.rotate(who, store.owner.key)
    fresh, _ = store.vault.keys.rotate(store.owner, store.owner.key)
    assert fresh.expires_at is None


@pytest.mark.parametrize(
    ("maker", "made", "inside"),
    [
        ([], ["10.0.0.0/8"], True), ([], [], True), (["10.0.0.0/8"], [], False), (["10.0.0.0/8"], ["10.9.0.0/16"], True),
        (["10.0.0.0/9", "10.128.0.0/9"], ["10.0.0.0/8"], True), (["10.0.0.0/9"], ["10.0.0.0/8"], False),
        (["10.0.0.0/8"], ["2001:db8::/32"], False), (["2001:db8::/32"], ["2001:db8::/33"], True),
        (["10.0.0.0/8"], ["::ffff:10.1.0.0/112"], True), (["::/0"], ["10.0.0.0/8"], False), (["0.0.0.0/0"], ["::/0"], False),
    ],
)  # fmt: skip
def test_networks_inside_networks(maker, made, inside):
    """Both families, neighbours that make one, mapped IPv4."""
    assert bounds.LIMITS["sources"][0](maker, made) is inside


def test_who_makes_too_deep_is_told(store, monkeypatch):
    """Each use asks for the whole line, so it has an end; rotating itself does not lengthen it."""
    monkeypatch.setattr("store.vault.key_documents.DEPTH", 2)
    who = store.owner
    for _ in range(2):
        _, key = store.vault.keys.create(who, NewKey("x", "full"))
        who = store.vault.keys.authenticate(key.reveal().decode())
        _, key = store.vault.keys.rotate(who, who.key)
        who = store.vault.keys.authenticate(key.reveal().decode())
    with pytest.raises(Conflict, match="deep"):
        store.vault.keys.create(who, NewKey("x"))
