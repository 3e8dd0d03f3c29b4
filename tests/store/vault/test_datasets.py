"""Datasets and sessions: whole uploads, whole deletions, tokens shown once."""

import time

import pytest
from stores import CANARY, eventually, secret, use

from store.errors import Conflict, Invalid, NotAuthenticated, NotFound
from store.model import Denial, Kind
from store.vault import NewSession, Upload


def test_a_dataset_comes_back_as_uploaded_without_values(store):
    """Fields, names, no value anywhere."""
    value = CANARY + b"Lt5Rv"  # of a weak one something is said once
    made = store.dataset(
        secret(value=value), filename="dataset.zip", hosts=["d.example.com"], egress={"allow": ["*.Example.com"]}
    )
    assert made == store.vault.datasets.get(store.owner, "default", "ds")
    assert (made.name, made.filename) == ("set", "dataset.zip")
    assert made.egress == {"allow": ["*.example.com"], "default": "deny"}
    assert CANARY.decode() not in repr(made)


def test_ids_may_be_chosen_once(store):
    """In another project the same id is another dataset."""
    store.dataset()
    with pytest.raises(Conflict):
        store.dataset()
    store.vault.projects.create(store.owner, "Other", "other")
    store.vault.datasets.create(store.owner, "other", Upload("x"), "ds")
    with pytest.raises(Conflict):
        store.vault.projects.create(store.owner, "Other", "other")
    generated = store.vault.datasets.create(store.owner, "other", Upload("x"))
    assert generated.id.isalnum()


@pytest.mark.parametrize("bad", ["", "-x", "a/b", "a b", "é", "x" * 65, "../x", "a\0", "\ud800"])
def test_ids_that_cannot_be_are_refused(store, bad):
    """On creation with a pointer, on reading as not found; the database never sees them."""
    with pytest.raises(Invalid):
        store.vault.datasets.create(store.owner, "default", Upload("x"), bad or "/")
    if bad:
        with pytest.raises(NotFound):
            store.vault.datasets.get(store.owner, "default", bad)
        with pytest.raises(NotFound):
            store.vault.sessions.get(store.owner, "default", store.dataset(dataset="ok").id, bad)
        with pytest.raises(NotFound):
            store.vault.entries.info(store.owner, store.scope("ok"), Kind.SECRET, bad)
        with pytest.raises(NotFound):
            store.vault.keys.get(store.owner, bad)


@pytest.mark.parametrize(
    ("egress", "code"),
    [
        ({"deny": []}, "unknown_key"),
        ({"default": "maybe"}, "egress_invalid"),
        ({"allow": "a.example.com"}, "egress_invalid"),
        ({"allow": ["https://a.example.com"]}, "host_invalid"),
        ({"allow": [5]}, "host_invalid"),
        ({"allow": ["*"]}, "host_invalid"),
        ({"allow": ["a.example.com:0"]}, "host_invalid"),
    ],
)
def test_egress_lists_are_checked(store, egress, code):
    """A list that could be misread is refused."""
    with pytest.raises(Invalid) as caught:
        store.dataset(egress=egress)
    assert caught.value.problems[0].code == code


def test_a_replacement_is_all_or_nothing(store):
    """A fault in the new upload leaves the old set as it was."""
    store.dataset(secret(), secret("OLD", b"old-value-123"))
    before = store.vault.datasets.get(store.owner, "default", "ds")
    with pytest.raises(Invalid):
        store.vault.datasets.replace(
            store.owner, "default", "ds", Upload("new", secrets=[secret("NEW"), secret("bad")])
        )
    assert store.vault.datasets.get(store.owner, "default", "ds") == before
    after = store.vault.datasets.replace(store.owner, "default", "ds", Upload("new", secrets=[secret(hosts=None)]))
    assert [(info.name, info.version, info.hosts) for info in after.secrets] == [("API_KEY", 2, [])]
    assert after.etag != before.etag


def test_deleting_takes_sessions_and_secrets_along(store, reader):
    """The token is refused within a second, the rows are gone, the id is free."""
    store.dataset(secret())
    token = store.token()
    caller = reader.caller(token)
    store.vault.datasets.delete(store.owner, "default", "ds")
    with pytest.raises(NotFound):
        store.vault.datasets.get(store.owner, "default", "ds")

    def refused():
        with pytest.raises(NotAuthenticated):
            reader.view(caller)

    eventually(refused, 1.0)
    store.dataset()
    with pytest.raises(NotAuthenticated):
        reader.caller(token)
    assert reader.view(store.caller(reader)).resolve(Kind.SECRET, "API_KEY", use()) is Denial.UNKNOWN


def test_a_disabled_dataset_serves_nobody(store, reader):
    """Sessions are refused, new ones are a conflict; enabling brings them back."""
    store.dataset(secret())
    token = store.token()
    reader.caller(token)
    store.vault.datasets.disable(store.owner, "default", "ds")

    def refused():
        with pytest.raises(NotAuthenticated):
            reader.caller(token)

    eventually(refused, 1.0)
    with pytest.raises(Conflict):
        store.token()
    store.vault.datasets.disable(store.owner, "default", "ds", disabled=False)
    eventually(lambda: reader.caller(token), 1.0)


def test_lists_page(store):
    """Datasets, sessions and projects, each once."""
    for number in range(5):
        store.dataset(dataset=f"d{number}")
        store.vault.projects.create(store.owner, "p", f"p{number}")
        store.token("d0")
    cursor, found = None, []
    while True:
        page = store.vault.datasets.list(store.owner, "default", limit=2, cursor=cursor)
        found += [info.id for info in page.items]
        if (cursor := page.next) is None:
            break
    assert found == [f"d{number}" for number in range(5)]
    assert len(store.vault.projects.list(store.owner).items) == 6
    first = store.vault.sessions.list(store.owner, "default", "d0", limit=3)
    rest = store.vault.sessions.list(store.owner, "default", "d0", limit=3, cursor=first.next)
    assert len({info.id for info in (*first.items, *rest.items)}) == 5
    assert rest.next is None


def test_a_session_is_what_was_asked_for(store, reader):
    """Every option reaches the caller; the token is in no listing."""
    store.dataset(egress={"allow": ["api.example.com"]})
    before = time.time()
    info, token = store.vault.sessions.open(
        store.owner,
        "default",
        "ds",
        NewSession(["A", "B"], "prod", ["https://App.Example.com:443/", "null"], 5, "label", 120),
    )
    caller = reader.caller(token.reveal().decode())
    assert caller.declared == {"A", "B"}
    assert caller.origins == ("https://app.example.com", "null")
    assert (caller.environment, caller.max_requests, caller.label) == ("prod", 5, "label")
    assert caller.expires_at == info.expires_at
    assert before - 0.001 <= info.expires_at - 120 <= time.time()  # kept in milliseconds
    assert caller.egress == {"allow": ["api.example.com"], "default": "deny"}
    listed = repr(store.vault.sessions.list(store.owner, "default", "ds"))
    assert token.reveal().decode() not in listed
    assert token.reveal() not in store.dump()


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"ttl": 0}, "/ttl"),
        ({"ttl": 7 * 86400 + 1}, "/ttl"),
        ({"secrets": ["bad"]}, "/secrets/0"),
        ({"environment": "Prod!"}, "/environment"),
        ({"max_requests": 0}, "/max_requests"),
        ({"label": "x" * 129}, "/label"),
        ({"origins": ["*"]}, "/origins/0"),
        ({"origins": ["app.example.com"]}, "/origins/0"),
        ({"origins": ["https://app.example.com/path"]}, "/origins/0"),
        ({"origins": ["https://u@app.example.com"]}, "/origins/0"),
        ({"origins": ["https://*.example.com"]}, "/origins/0"),
        ({"origins": ["javascript:alert(1)"]}, "/origins/0"),
        ({"origins": ["https://app.example.com:99999"]}, "/origins/0"),
    ],
)
def test_bad_session_options_are_refused(store, fields, pointer):
    """With a pointer, and no session afterwards."""
    store.dataset()
    with pytest.raises(Invalid) as caught:
        store.token(**fields)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]
    assert store.vault.sessions.list(store.owner, "default", "ds").items == ()


def test_a_session_ends_by_the_clock(store, reader):
    """One second of life; nobody has to write anything for it to end."""
    store.dataset(secret())
    token = store.token(ttl=1)
    caller = reader.caller(token)

    def ended():
        with pytest.raises(NotAuthenticated):
            reader.view(caller)

    eventually(ended, 2.5)
    with pytest.raises(NotAuthenticated):
        reader.caller(token)
    assert store.vault.sessions.list(store.owner, "default", "ds").items == ()


def test_tokens_are_refused_alike(store, reader):
    """Garbage, a wrong secret under a known id, an API key, an altered character, all cases."""
    store.dataset()
    token = store.token()
    swapped = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
    for bad in ("", "egs_", "egs_bogus", store.key, swapped, token + "x", token.upper(), token.replace("egs", "egk"), "egs_" + "é" * 52, "\0", token[:-1]):  # fmt: skip
        with pytest.raises(NotAuthenticated):
            reader.caller(bad)
    from store.keys.tokens import mint

    with pytest.raises(NotAuthenticated):
        reader.caller(mint("egs", b"another key").token.reveal().decode())


def test_all_sessions_of_a_dataset_end_at_once(store, reader):
    """One verb for the emergency."""
    store.dataset()
    tokens = [store.token() for _ in range(3)]
    assert store.vault.sessions.revoke_all(store.owner, "default", "ds") == 3
    for token in tokens:
        with pytest.raises(NotAuthenticated):
            reader.caller(token)


def test_a_disabled_draft_is_a_draft_again(store):
    """Enabling brings back what was: a draft waits for its file, under a new ETag; twice changes nothing."""
    made = store.dataset(secret(), filename="data.zip")
    stopped = store.vault.datasets.disable(store.owner, "default", "ds")
    assert (made.state, stopped.state) == ("draft", "disabled")
    assert store.vault.datasets.disable(store.owner, "default", "ds").etag == stopped.etag
    for etag in (made.etag, stopped.etag):
        with pytest.raises(Conflict):
            store.vault.files.finish(store.scope(), etag, dict)
    again = store.vault.datasets.disable(store.owner, "default", "ds", disabled=False)
    assert again.state == "draft"
    store.vault.files.finish(store.scope(), again.etag, dict)
    store.vault.datasets.disable(store.owner, "default", "ds")
    assert store.vault.datasets.disable(store.owner, "default", "ds", disabled=False).state == "ready"
