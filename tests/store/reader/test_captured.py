"""What an answer held, as a placeholder: for one session and version, judged at each use, and saying its length alone."""

import base64
import json
from contextlib import closing

import pytest
from draw import Draw
from stores import secret, use

from store.errors import Invalid
from store.kinds import WRITTEN, Credential
from store.model import MAX_SEALED, MIN_SEALED, Denial, Kind, Location, SecretValue
from store.reader import MAX_CAPTURED, captures_keys
from store.records import Change

LOGIN = {
    "host": "auth.example.com",
    "methods": ["POST"],
    "paths": ["/oauth/token"],
    "capture": {
        "members": ["access_token", "auth.token", "refresh_token"],
        "hosts": ["api.example.com", {"host": "x.example.com", "headers": ["x-token"], "paths": ["/v1/*"]}],
    },
}
AT = {"host": "auth.example.com", "location": Location.BODY, "method": "POST", "path": "/oauth/token"}
TOKEN = Draw("captured").letters(48).encode()


@pytest.fixture
def kept(store):
    store.dataset(secret(hosts=[LOGIN]))
    reader = store.reader()
    yield store, reader
    reader.close()


def view(kept, **options):
    store, reader = kept
    return reader.view(store.caller(reader, **options))


def sealed(view, member="access_token", value=TOKEN):
    (found,) = view.capturing(use(**AT))
    return found.seal(member, SecretValue(value)).removeprefix("#{SECRETS.").removesuffix("}")


def test_it_is_opened_by_its_session(kept):
    """As a value that is written, where the rule says; it is another thing than the secret."""
    one = view(kept)
    name = sealed(one)
    grant = one.resolve(Kind.SECRET, name, use("api.example.com", header="authorization"))
    assert (grant.open().reveal(), grant.name, grant.credential) == (TOKEN, "API_KEY", WRITTEN)
    assert grant.identity != one.grant("API_KEY").identity and TOKEN.decode() not in repr(grant)
    assert {rule.authority for each in grant.stored() for rule in each.rules} == {
        "auth.example.com",
        "api.example.com",
        "x.example.com",
    }
    assert sealed(one) != name, "equal values are not seen to be equal"
    assert one.resolve(Kind.VARIABLE, name, use("api.example.com", header="authorization")) is Denial.UNKNOWN


def test_any_change_makes_it_unknown(kept):
    """Every character, every length, another member of the alphabet that stands for the same bits."""
    one = view(kept)
    name, _, text = sealed(one, "auth.token").partition(".")
    where = use("api.example.com", header="authorization")
    tries = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(len(text))]
    tries += [text[:at] for at in range(len(text))] + [text + "A" * more for more in range(1, 5)] + [text + text]
    tries += ["A" * MIN_SEALED, "A" * MAX_SEALED, "", "é" * MIN_SEALED]
    for more in tries:
        assert one.resolve(Kind.SECRET, f"{name}.{more}", where) is Denial.UNKNOWN, more
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    spare = [other for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" if (other := text[:-1] + last) != text and base64.urlsafe_b64decode(other + "=" * (-len(text) % 4)) == raw]  # fmt: skip
    assert len(spare) == 15, "this length leaves four bits over"
    for other in spare:
        assert one.resolve(Kind.SECRET, f"{name}.{other}", where) is Denial.UNKNOWN


def test_it_is_of_one_session_and_one_version(kept):
    """Another session that may use the same secret has no use for it; nor has its own, once the value was replaced."""
    store, reader = kept
    one = view(kept)
    name, where = sealed(one), use("api.example.com", header="authorization")
    assert view(kept).resolve(Kind.SECRET, name, where) is Denial.UNKNOWN
    assert view(kept, secrets=()).resolve(Kind.SECRET, name, where) is Denial.UNKNOWN
    store.put(secret(hosts=[LOGIN]))
    reader._refresh()
    assert reader.view(one.caller).resolve(Kind.SECRET, name, where) is Denial.UNKNOWN


ACCESS = [
    (use("api.example.com", header="authorization"), None),
    (use("api.example.com", header="authorization", port=8443), Denial.DESTINATION),
    (use("api.example.com", header="authorization", secure=False), Denial.DESTINATION),
    (use("api.example.com", header="x-token"), Denial.LOCATION),
    (use("api.example.com", Location.URL), Denial.LOCATION),
    (use("api.example.com", Location.BODY), Denial.LOCATION),
    (use("api.example.com", Location.MESSAGE), Denial.LOCATION),
    (use("x.example.com", header="x-token", path="/v1/a"), None),
    (use("x.example.com", header="x-token", path="/v2/a"), Denial.DESTINATION),
    (use("x.example.com", header="authorization", path="/v1/a"), Denial.LOCATION),
    (use("else.example.com", header="authorization"), Denial.DESTINATION),
    (use(**AT), None),
    (use(**AT | {"path": "/oauth/other"}), Denial.DESTINATION),
    (use(**AT | {"method": "PUT"}), Denial.DESTINATION),
    (use(**AT | {"fields": frozenset({"x-http-method-override"})}), Denial.DESTINATION),
    (use(**AT | {"location": Location.HEADER, "header": "authorization"}), Denial.LOCATION),
    (use(**AT | {"location": Location.URL}), Denial.LOCATION),
]


@pytest.mark.parametrize("at", range(len(ACCESS)))
def test_where_it_may_go(kept, at):
    """A refresh token back alone, whatever else is there."""
    one, (where, expected) = view(kept), ACCESS[at]
    for member in ("access_token", "auth.token"):
        found = one.resolve(Kind.SECRET, sealed(one, member), where)
        assert (found if isinstance(found, Denial) else None) is expected
    refresh = one.resolve(Kind.SECRET, sealed(one, "refresh_token"), where)
    back = where.destination.host == "auth.example.com" and expected is not Denial.DESTINATION
    assert (refresh if isinstance(refresh, Denial) else None) is (expected if back else Denial.DESTINATION)


ROLE = {"host": "auth.example.com", "methods": ["POST"], "paths": ["/oauth/token"], "capture": {"members": ["Credentials"], "hosts": ["api.example.com"]}}  # fmt: skip
KEY = {"access_key_id": "ASIAIOSFODNN7EXAMPLE", "secret_access_key": TOKEN.decode()[:40], "session_token": TOKEN.decode()}  # fmt: skip


@pytest.mark.parametrize("kind", ["aws", "static"])
def test_a_key_signs_and_is_written_nowhere(store, kind):
    """It goes into the header of its hosts, with the parameters of a key that it was had with; into no body."""
    value = json.dumps({**KEY, "session_token": "t" * 20}).encode()
    store.dataset(secret(value=value, hosts=[ROLE], kind=kind, parameters={"regions": ["eu-west-1"]} if kind == "aws" else {}))  # fmt: skip
    with closing(store.reader()) as reader:
        one = view((store, reader))
        (found,) = one.capturing(use(**AT))
        assert captures_keys([found])
        name = found.seal_key(SecretValue(json.dumps(KEY).encode())).removeprefix("#{SECRETS.").removesuffix("}")
        grant = one.resolve(Kind.SECRET, name, use("api.example.com", header="authorization"))
        assert grant.credential == Credential("aws", {"regions": ["eu-west-1"]} if kind == "aws" else {})
        assert json.loads(grant.open().reveal()) == KEY
        assert [each.value.reveal() for each in grant.stored()] == [TOKEN[:40], TOKEN], "each on its own; not the id"
        for where, denial in (
            (use(**AT), Denial.LOCATION),
            (use("api.example.com", Location.BODY), Denial.LOCATION),
            (use("api.example.com", Location.URL), Denial.LOCATION),
            (use("api.example.com", Location.MESSAGE), Denial.LOCATION),
            (use("api.example.com", header="x-token"), Denial.LOCATION),
            (use("else.example.com", header="authorization"), Denial.DESTINATION),
        ):
            assert one.resolve(Kind.SECRET, name, where) is denial
        plain = found.seal("Credentials", SecretValue(TOKEN)).removeprefix("#{SECRETS.").removesuffix("}")
        assert one.resolve(Kind.SECRET, plain, use("api.example.com", header="authorization")).credential is WRITTEN


def test_narrowing_counts_at_once(kept):
    """What was sealed goes on to capture; where it may go is what is left."""
    store, reader = kept
    one = view(kept)
    name, where = sealed(one), use("api.example.com", header="authorization")
    change = lambda **capture: store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(hosts=[LOGIN | {"capture": LOGIN["capture"] | capture}]))  # noqa: E731  # fmt: skip
    for capture in ({"members": ["access_token"]}, {"hosts": ["evil.example.com"]}):
        with pytest.raises(Invalid) as refused:
            change(**capture)
        assert [problem.code for problem in refused.value.problems] == ["widening"]
    change(hosts=[])
    reader._refresh()
    now = reader.view(one.caller)
    assert now.resolve(Kind.SECRET, name, where) is Denial.DESTINATION and now.capturing(use(**AT))
    assert not isinstance(now.resolve(Kind.SECRET, name, use(**AT)), Denial)


def test_its_length_is_that_of_a_class(kept):
    """Rounded up, whatever the value; the longest fits."""
    one = view(kept)
    sizes = (16, 64, 65, 1024, 1025, 1280, MAX_CAPTURED)
    lengths = {(size, letter): len(sealed(one, value=letter * size)) for size in sizes for letter in (b"a", b"~")}
    found = [lengths[size, b"a"] for size in sizes]
    assert found == [lengths[size, b"~"] for size in sizes]
    assert found[0] == found[1] < found[2] < found[3] < found[4] == found[5] < found[6]
    assert MIN_SEALED + len("API_KEY.") <= found[0] and found[-1] <= MAX_SEALED + len("API_KEY.")
    with pytest.raises(ValueError, match="not sealed"):
        sealed(one, value=b"a" * (MAX_CAPTURED + 1))


def test_what_a_session_is_told_and_may_reach(kept):
    """A page of its session reaches where a captured token may go; a host that it goes to is no tunnel unseen."""
    one = view(kept)
    at = use("api.example.com").destination
    assert one.reachable(at, Location.HEADER) and not one.reachable(at, Location.BODY) and one.binds(at)
    assert one.hosts == ["api.example.com", "auth.example.com", "x.example.com"]
    assert one.about()["secrets"][0]["hosts"][0]["capture"]["members"] == [
        "access_token",
        "auth.token",
        "refresh_token",
    ]
    assert not any(each.reaches("api.example.org") for each in one.values())


def test_a_variable_captures_nothing(store):
    """It says so."""
    store.dataset()
    with pytest.raises(Invalid) as refused:
        store.put(secret("X", b"x", [LOGIN]), kind=Kind.VARIABLE)
    assert [(problem.pointer, problem.code) for problem in refused.value.problems] == [("/hosts", "capture_invalid")]
