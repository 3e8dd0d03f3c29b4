"""Secrets and variables: uploads checked, versions, narrowing, environments, inheritance."""

import re

import pytest
from stores import CANARY, secret, use

from store.errors import Conflict, Invalid, NotFound, PreconditionFailed
from store.model import Denial, Kind, Location, SecretValue
from store.records import Change, NewEntry
from store.vault import Listing, Upload

pytestmark = pytest.mark.long

SECRET, VARIABLE = Kind.SECRET, Kind.VARIABLE


def codes(caught):
    return [(problem.pointer, problem.code) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"name": "lower"}, "/secrets/0/name", "name_invalid"),
        ({"name": ""}, "/secrets/0/name", "name_invalid"),
        ({"name": "1A"}, "/secrets/0/name", "name_invalid"),
        ({"name": "A-B"}, "/secrets/0/name", "name_invalid"),
        ({"name": "A\n"}, "/secrets/0/name", "name_invalid"),
        ({"name": "Ａ"}, "/secrets/0/name", "name_invalid"),
        ({"name": "A" * 129}, "/secrets/0/name", "name_invalid"),
        ({"value": b""}, "/secrets/0/value", "value_empty"),
        ({"value": b"x" * (64 * 1024 + 1)}, "/secrets/0/value", "value_too_long"),
        ({"value": b"a\r\nb"}, "/secrets/0/value", "value_control"),
        ({"value": b"a\rb"}, "/secrets/0/value", "value_control"),
        ({"value": b"a\0b"}, "/secrets/0/value", "value_control"),
        ({"value": b"a\x7fb"}, "/secrets/0/value", "value_control"),
        ({"value": b"a\x1bb"}, "/secrets/0/value", "value_control"),
        ({"value": None}, "/secrets/0/value", "value_required"),
        ({"value": b"both", "sealed": b"HSE1"}, "/secrets/0/value", "value_required"),
        ({"value": None, "sealed": b"nonsense"}, "/secrets/0/sealed", "sealed_invalid"),
        ({"hosts": ["*"]}, "/secrets/0/hosts/0", "host_invalid"),
        ({"hosts": ["ok.example.com", "https://x.example.com/v1"]}, "/secrets/0/hosts/1", "host_has_path"),
        ({"locations": ["cookie"]}, "/secrets/0/locations/0", "location_invalid"),
        ({"locations": []}, "/secrets/0/locations", "locations_empty"),
        ({"provider": "x" * 65}, "/secrets/0/provider", "text_too_long"),
        ({"provider": " "}, "/secrets/0/provider", "text_empty"),
        ({"provider": "canary-9f3Kq7Zp2Wx8"}, "/secrets/0/provider", "holds_value"),
        ({"description": "it is canary-9f3Kq7Zp2Wx8"}, "/secrets/0/description", "holds_value"),
        ({"environment": "Prod"}, "/secrets/0/environment", "environment_invalid"),
        ({"rotate_after": "soon"}, "/secrets/0/rotate_after", "duration_invalid"),
        ({"description": "x" * 1025}, "/secrets/0/description", "text_too_long"),
        ({"description": "a\x1b[31m"}, "/secrets/0/description", "text_control"),
    ],
)
def test_a_bad_upload_stores_nothing_and_repeats_nothing(store, fields, pointer, code):
    """One fault: its pointer and code, no input in any text, and no row, version or dataset afterwards."""
    before = store.dump()
    with pytest.raises(Invalid) as caught:
        store.dataset(secret(**fields), secret("GOOD", b"good-value-1"))
    assert codes(caught) == [(pointer, code)]
    shown = repr(caught.value.problems) + str(caught.value)
    for value in fields.values():
        if isinstance(value, bytes) and len(value) > 3:
            assert value.decode("latin-1") not in shown
    assert store.vault.datasets.list(store.owner, "default").items == ()
    assert store.dump() == before


def test_duplicate_names_are_refused(store):
    """Twice in one list is a fault of the second; in another environment it is another secret."""
    with pytest.raises(Invalid) as caught:
        store.dataset(secret(), secret())
    assert codes(caught) == [("/secrets/1/name", "name_duplicate")]
    store.dataset(secret(), secret(environment="prod"))


def test_all_faults_are_told_at_once(store):
    """Dataset, secrets and variables together."""
    with pytest.raises(Invalid) as caught:
        store.vault.datasets.create(
            store.owner,
            "default",
            Upload("", secrets=[secret("bad"), secret(value=b"")], variables=[secret("v", hosts=None)], hosts=["*"]),
        )
    assert [pointer for pointer, _ in codes(caught)] == [
        "/name",
        "/hosts/0",
        "/secrets/0/name",
        "/secrets/1/value",
        "/variables/0/name",
    ]


@pytest.mark.parametrize(
    "value",
    [b"x", b"a" * 65536, b"line one\nline two\n", b"tab\tbed", b" edges ", "ключ€".encode(), b"\xff\xfe\x80binary"],
)
def test_odd_values_are_kept_byte_for_byte(store, reader, value):
    """PEM-like, binary, longest, shortest."""
    store.dataset(secret(value=value))
    view = reader.view(store.caller(reader))
    assert view.resolve(SECRET, "API_KEY", use()).open().reveal() == value


@pytest.mark.parametrize(
    ("value", "hosts", "warnings"),
    [
        (b"short", ["a.example.com"], {"value_short"}),
        (CANARY, [], {"no_destinations"}),
        (b" long-enough-value", ["a.example.com"], {"whitespace_edges"}),
        (b"changeme-please", ["a.example.com"], {"looks_like_placeholder"}),
        (b"#{SECRETS.OTHER_ONE}", ["a.example.com"], {"looks_like_placeholder"}),
        (b"aaaaaaaaaaaa", ["a.example.com"], {"looks_like_placeholder"}),
        (b"wss://[2001:db8::1]:8443/", ["a.example.com"], {"looks_like_address"}),
        (b"https://hooks.example.com/T0/B1", ["a.example.com"], set()),
        (CANARY, ["a.example.com"], set()),
    ],
)
def test_warnings(store, value, hosts, warnings):
    """What is stored but may not be meant is said, at upload and ever after."""
    made = store.dataset(secret(value=value, hosts=hosts))
    assert {warning.code for warning in made.secrets[0].warnings} - {"weak_value"} == warnings
    assert {warning.code for warning in store.info().warnings} == warnings


@pytest.mark.parametrize(
    ("value", "weak"),
    [
        (b"hunter2-hunter2", True),
        (b"correct horse battery staple", True),
        (b"4711-0815-1234", True),
        (CANARY, True),
        (b"Zk3vQ9xPw2LmN8rT5yB1", False),
        (b"sk-live-Zk3vQ9xPw2LmN8rT5yB1", False),
        (b"8c5d1f0a2b7e4396a1c0d9e8f7b6a5c4", False),
        (b"5f0c9b1e-8a43-4d2f-9c67-0e1b2a3d4c5f", False),
    ],
)
@pytest.mark.parametrize("how", ["upload", "again", "put"])
def test_a_weak_value_is_told_once_and_kept_nowhere(store, how, value, weak):
    """Who uploads it is told; no list, no audit row and no byte of the database says so."""
    made = store.dataset(secret(value=value), secret("OTHER", b"Zk3vQ9xPw2LmN8rT5yB1"))
    if how == "again":
        again = Upload("d", secrets=[secret(value=value)])
        made = store.vault.datasets.replace(store.owner, "default", made.id, again)
    told = store.put(secret(value=value)) if how == "put" else made.secrets[0]
    assert ("weak_value" in {warning.code for warning in told.warnings}) is weak
    assert "weak_value" not in {warning.code for each in made.secrets[1:] for warning in each.warnings}
    assert "weak_value" not in {warning.code for warning in store.info().warnings}
    assert not re.search(rb"weak_value|\bweak\b[\"']", store.dump())


def test_hosts_come_from_the_nearest_place(store):
    """Own hosts, else the provider's, else the dataset's."""
    made = store.dataset(
        secret("OWN", hosts=["own.example.com"], provider="openai"),
        secret("PRESET", hosts=None, provider="openai"),
        secret("DEFAULT", hosts=None),
        secret("NONE", hosts=[]),
        hosts=["default.example.com"],
    )
    found = {info.name: info for info in made.secrets}
    assert found["OWN"].hosts == ["own.example.com"]
    assert found["OWN"].locations == ["header"]
    assert {"host": "api.openai.com", "headers": ["authorization", "sec-websocket-protocol"]} in found["PRESET"].hosts
    assert found["PRESET"].locations == ["header"]
    assert found["DEFAULT"].hosts == ["default.example.com"]
    assert found["NONE"].hosts == []


def test_a_put_is_a_version_and_keeps_the_rules(store):
    """Rotating a value needs the value alone."""
    store.dataset(secret(hosts=["a.example.com"], locations=["header"], provider="openai", description="mine"))
    info = store.put(NewEntry("API_KEY", SecretValue(b"second-value")))
    assert (info.version, info.hosts, info.locations) == (2, ["a.example.com"], ["header"])
    assert (info.provider, info.description) == ("openai", "mine")
    widened = store.put(secret(hosts=["*.example.com"], locations=["header", "url"]))
    assert (widened.version, widened.hosts, widened.locations) == (3, ["*.example.com"], ["header", "url"])


def test_narrowing_needs_no_value_and_widening_does(store, reader):
    """PATCH takes away; it gives nothing back, not even what it took."""
    store.dataset(secret(hosts=["*.example.com", "b.example.net"], locations=["header", "url"]))
    scope = store.scope()

    def patch(**change):
        return store.vault.entries.patch(store.owner, scope, SECRET, "API_KEY", Change(**change))

    assert patch(hosts=["api.example.com"]).hosts == ["api.example.com"]
    assert patch(locations=["header"]).locations == ["header"]
    for change in (
        {"hosts": ["*.example.com"]},
        {"hosts": ["api.example.com", "b.example.net"]},
        {"locations": ["url"]},
    ):
        with pytest.raises(Invalid) as caught:
            patch(**change)
        assert caught.value.problems[0].code == "widening"
    view = reader.view(store.caller(reader))
    assert view.resolve(SECRET, "API_KEY", use()).open().reveal() == CANARY
    assert view.resolve(SECRET, "API_KEY", use("b.example.net")) is Denial.DESTINATION
    assert view.resolve(SECRET, "API_KEY", use(location=Location.URL)) is Denial.LOCATION
    assert patch(hosts=[]).hosts == []


def test_metadata_edits_never_touch_the_envelope(store):
    """The bytes on disk are the same before and after."""
    store.dataset(secret())

    def stored():
        return store.sql("SELECT body, signature, sha256 FROM versions")

    before = stored()
    change = Change(description="new", provider="github", rotate_after="90d", hosts=["api.example.com"])
    info = store.vault.entries.patch(store.owner, store.scope(), SECRET, "API_KEY", change)
    assert (info.description, info.provider, info.rotate_after) == ("new", "github", "90d")
    assert info.rotate_due_at == pytest.approx(info.created_at + 90 * 86400, abs=2)
    assert info.rotate_after == "90d"
    assert stored() == before


def test_versions_activate_and_destroy(store, reader):
    """Back to an older version under its own rules; a destroyed one is gone for ever."""
    store.dataset(secret(value=b"version-one", hosts=["one.example.com"]))
    store.put(secret(value=b"version-two", hosts=["two.example.com"]))
    scope, verbs = store.scope(), store.vault.entries
    assert [(version.number, version.state) for version in verbs.versions(store.owner, scope, SECRET, "API_KEY")] == [
        (2, "active"),
        (1, "inactive"),
    ]
    assert verbs.activate(store.owner, scope, SECRET, "API_KEY", 1).hosts == ["one.example.com"]
    view = reader.view(store.caller(reader))
    assert view.resolve(SECRET, "API_KEY", use("one.example.com")).open().reveal() == b"version-one"
    assert view.resolve(SECRET, "API_KEY", use("two.example.com")) is Denial.DESTINATION
    verbs.destroy(store.owner, scope, SECRET, "API_KEY", 2)
    with pytest.raises(Conflict):
        verbs.activate(store.owner, scope, SECRET, "API_KEY", 2)
    with pytest.raises(NotFound):
        verbs.activate(store.owner, scope, SECRET, "API_KEY", 9)
    assert verbs.destroy(store.owner, scope, SECRET, "API_KEY", 1).state == "destroyed"
    view = reader.view(store.caller(reader))
    assert view.resolve(SECRET, "API_KEY", use("one.example.com")) is Denial.UNKNOWN
    assert view.values() == []
    assert store.info().version == 0
    assert store.put(secret(value=b"version-three")).version == 3


def test_old_versions_are_pruned(store):
    """Ten envelopes are kept; the rest are destroyed once they are not scrubbed any more, and the numbers go on."""
    store.dataset(secret())
    for number in range(14):
        store.later(86_401)
        store.put(NewEntry("API_KEY", SecretValue(b"value-number-%d" % number)))
    states = [version.state for version in store.vault.entries.versions(store.owner, store.scope(), SECRET, "API_KEY")]
    assert states == ["active"] + ["inactive"] * 9 + ["destroyed"] * 5


def test_disable_stops_every_use_and_still_scrubs(store, reader):
    """Also where a project has the same name: the nearest one decides, and it says no."""
    store.dataset(secret(), immutable=True)
    store.vault.entries.put(store.owner, store.scope(""), SECRET, secret(value=b"project-value"))
    assert store.vault.entries.disable(store.owner, store.scope(), SECRET, "API_KEY").state == "disabled"
    view = reader.view(store.caller(reader))
    assert view.resolve(SECRET, "API_KEY", use()) is Denial.UNKNOWN
    assert CANARY in {each.value.reveal() for each in view.values()}
    assert store.vault.entries.enable(store.owner, store.scope(), SECRET, "API_KEY").state == "active"
    view = reader.view(store.caller(reader))
    assert view.resolve(SECRET, "API_KEY", use()).open().reveal() == CANARY


def test_an_immutable_dataset_changes_by_upload_alone(store):
    """Put, patch, delete, activate and destroy are conflicts; a new upload is not."""
    store.dataset(secret(), immutable=True)
    scope, verbs = store.scope(), store.vault.entries
    for attempt in (
        lambda: store.put(secret()),
        lambda: verbs.patch(store.owner, scope, SECRET, "API_KEY", Change(description="x")),
        lambda: verbs.delete(store.owner, scope, SECRET, "API_KEY"),
        lambda: verbs.destroy(store.owner, scope, SECRET, "API_KEY", 1),
    ):
        with pytest.raises(Conflict):
            attempt()
    store.vault.datasets.replace(store.owner, "default", "ds", Upload("set", secrets=[secret(value=b"uploaded-anew")]))
    assert store.info().version == 2


def test_the_nearest_scope_wins(store, reader):
    """Dataset over project over organisation; what only the organisation has is inherited."""
    owner, verbs = store.owner, store.vault.entries
    store.dataset(secret(value=b"of-the-dataset"))
    verbs.put(owner, owner.scope("default"), SECRET, secret(value=b"of-the-project"))
    verbs.put(owner, owner.scope(), SECRET, secret(value=b"of-the-organisation"))
    verbs.put(owner, owner.scope("default"), SECRET, secret("P", b"project-only-value"))
    verbs.put(owner, owner.scope(), SECRET, secret("P", b"organisation-value"))
    verbs.put(owner, owner.scope(), SECRET, secret("O", b"organisation-only"))
    view = reader.view(store.caller(reader))
    found = {name: view.resolve(SECRET, name, use()).open().reveal() for name in ("API_KEY", "P", "O")}
    assert found == {"API_KEY": b"of-the-dataset", "P": b"project-only-value", "O": b"organisation-only"}
    assert len(view.values()) == 6


def test_environments(store, reader):
    """A session sees its environment and what is for all; without one, only what is for all."""
    store.dataset(
        secret("A", b"for-everywhere"),
        secret("A", b"for-production", environment="prod"),
        secret("B", b"dev-only-value", environment="dev"),
    )

    def seen(environment, name):
        grant = reader.view(store.caller(reader, environment=environment)).resolve(SECRET, name, use())
        return grant.open().reveal() if not isinstance(grant, Denial) else grant

    assert seen("prod", "A") == b"for-production"
    assert seen("dev", "A") == seen("", "A") == b"for-everywhere"
    assert seen("dev", "B") == b"dev-only-value"
    assert seen("prod", "B") is seen("", "B") is Denial.UNKNOWN
    assert store.vault.entries.info(store.owner, store.scope(), SECRET, "A", environment="prod").environment == "prod"


def test_declared_names_limit_a_session(store, reader):
    """The others are unknown to it, and scrubbed all the same."""
    store.dataset(secret(), secret("OTHER", b"other-value-123"))
    view = reader.view(store.caller(reader, secrets=["OTHER", "NOT_THERE_YET"]))
    assert view.resolve(SECRET, "API_KEY", use()) is Denial.UNKNOWN
    assert view.resolve(SECRET, "OTHER", use()).open().reveal() == b"other-value-123"
    assert len(view.values()) == 2
    none = reader.view(store.caller(reader, secrets=[]))
    assert none.resolve(SECRET, "OTHER", use()) is Denial.UNKNOWN


def test_variables_are_readable_and_go_anywhere_unless_bound(store, reader):
    """Their value is no secret: shown in info, not scrubbed, free without hosts, bound with them."""
    store.vault.datasets.create(
        store.owner,
        "default",
        Upload(
            "set", variables=[secret("REGION", b"eu-west-1", hosts=None), secret("BOUND", b"bound", hosts=["a.io"])]
        ),
        "ds",
    )
    info = store.info("REGION", kind=VARIABLE)
    assert (info.value, info.warnings) == ("eu-west-1", ())
    view = reader.view(store.caller(reader, secrets=[]))
    assert view.resolve(VARIABLE, "REGION", use("anywhere.example", secure=False)).open().reveal() == b"eu-west-1"
    assert view.resolve(VARIABLE, "BOUND", use("anywhere.example")) is Denial.DESTINATION
    assert view.resolve(SECRET, "REGION", use()) is Denial.UNKNOWN
    assert view.values() == []
    with pytest.raises(Invalid):
        store.put(secret("BAD", b"\xff\xfe"), kind=VARIABLE)


def test_delete_takes_effect_and_leaves_the_name_free(store, reader):
    """A deleted secret is unknown, its value still scrubbed; the name starts again at version 1."""
    store.dataset(secret())
    store.vault.entries.delete(store.owner, store.scope(), SECRET, "API_KEY")
    with pytest.raises(NotFound):
        store.info()
    view = reader.view(store.caller(reader))
    assert view.resolve(SECRET, "API_KEY", use()) is Denial.UNKNOWN
    assert [each.value.reveal() for each in view.values()] == [CANARY]
    assert store.put(secret(value=b"a-new-beginning")).version == 1
    view = reader.view(store.caller(reader))
    assert view.resolve(SECRET, "API_KEY", use()).open().reveal() == b"a-new-beginning"


def test_if_match_never_loses_an_update(store):
    """An ETag of before a change does not write; * needs it there; If-None-Match: * needs it absent."""
    made = store.dataset(secret())
    old = made.secrets[0].etag
    args = (store.owner, store.scope(), SECRET)
    fresh = store.vault.entries.put(*args, secret(value=b"second-value"), if_match=old)
    assert fresh.etag != old
    for call in (
        lambda: store.vault.entries.put(*args, secret(), if_match=old),
        lambda: store.vault.entries.patch(*args, "API_KEY", Change(description="x"), if_match=old),
        lambda: store.vault.entries.delete(*args, "API_KEY", if_match=old),
        lambda: store.vault.entries.put(*args, secret(), if_none_match="*"),
        lambda: store.vault.entries.put(*args, secret("NEW"), if_match="*"),
        lambda: store.vault.datasets.replace(store.owner, "default", "ds", Upload("x"), if_match='"d99"'),
    ):
        with pytest.raises(PreconditionFailed):
            call()
    assert store.info().version == 2
    store.vault.entries.put(*args, secret("NEW"), if_none_match="*")
    described = store.vault.entries.patch(*args, "API_KEY", Change(description="x"), if_match=fresh.etag)
    assert described.etag != fresh.etag


def test_lists_filter_sort_and_page(store):
    """Every item once, in order, across pages, and while items come and go."""
    names = [f"N{number:02}" for number in range(25)]
    store.dataset(
        *(secret(name, provider="openai" if name < "N05" else None, description=name.lower()) for name in names)
    )

    def walk(**options):
        found, cursor = [], None
        while True:
            page = store.vault.entries.list(
                store.owner, store.scope(), SECRET, Listing(limit=7, cursor=cursor, **options)
            )
            found += [info.name for info in page.items]
            cursor = page.next
            if cursor is None:
                return found

    assert walk() == names
    assert walk(sort="-name") == names[::-1]
    for sort in ("created_at", "-created_at", "updated_at", "last_used_at", "-use_count", "rotate_due_at"):
        assert sorted(walk(sort=sort)) == names
    assert walk(provider="openai") == names[:5]
    assert walk(q="n1") == names[10:20]
    assert walk(q="%") == walk(q="_") == []
    assert walk(created_by=store.owner.actor) == names
    assert walk(created_by="key:nobody") == []
    for bad in (
        Listing(sort="value"),
        Listing(limit=0),
        Listing(limit=201),
        Listing(cursor="!"),
        Listing(cursor="W10"),
    ):
        with pytest.raises(Invalid):
            store.vault.entries.list(store.owner, store.scope(), SECRET, bad)


def test_there_is_room_for_two_thousand(store):
    """And not for one more."""
    from store.vault import upload

    kept, upload.MAX_ENTRIES = upload.MAX_ENTRIES, 3
    from store.vault import entries

    entries.MAX_ENTRIES = 3
    try:
        store.dataset(secret("A"), secret("B"), secret("C"))
        with pytest.raises(Conflict):
            store.put(secret("D"))
        store.put(secret("C"))
    finally:
        upload.MAX_ENTRIES = entries.MAX_ENTRIES = kept


def test_versions_are_kept_as_many_as_wished(store):
    """One kept: older values go, but what was rotated out within the day stays to be scrubbed."""
    store.dataset(secret(keep_versions=1))
    for _ in range(12):
        store.put(secret())
    found = store.vault.entries.versions(store.owner, store.scope(), Kind.SECRET, "API_KEY")
    assert [each.state for each in found] == ["active", *["inactive"] * 12]
    store.later(86_401)
    assert store.put(secret()).keep_versions == 1
    found = store.vault.entries.versions(store.owner, store.scope(), Kind.SECRET, "API_KEY")
    assert [each.state for each in found] == ["active", "inactive", *["destroyed"] * 12]


def test_what_is_due_is_listed(store):
    """By age since the value was entered; what has no age is never due."""
    store.dataset(secret("OLD", rotate_after="1d"), secret("NEW", rotate_after="1d"), secret("EVER"))
    store.sql("UPDATE entries SET rotated_at = 1 WHERE name = 'OLD'")

    def listed(**fields):
        return [
            each.name
            for each in store.vault.entries.list(store.owner, store.scope(), Kind.SECRET, Listing(**fields)).items
        ]

    assert (listed(due=True), listed(due=False)) == (["OLD"], ["EVER", "NEW"])
    assert listed(sort="rotate_due_at") == ["OLD", "NEW", "EVER"]
