"""What one process of a data plane made, the others search for and use; nobody else can put anything there."""

import asyncio
import json

import pytest
from draw import Draw
from token_house import House

from proxy.border import kept_tokens
from proxy.border.shelf import Shelf, Shelved
from store.reader import Locker


@pytest.fixture
async def pair(tmp_path):
    """Two processes of one data folder, with one store."""
    one = House(tmp_path, state=tmp_path / "state")
    other = House(tmp_path, state=tmp_path / "state", like=one)
    yield one, other
    one.close()
    other.close()


async def test_the_others_hear_of_it(pair):
    """Before it is used for the first time its file is there; who hears searches for it, and needs no call."""
    one, other = pair
    admitted = await other.admitted()
    token = await one.token()
    assert other.services.searches.scrubber(admitted.view, admitted.head.destination) is admitted.scrubber
    other.tokens.kept.hear()
    assert await other.token() == token and len(one.issuer.log) == 1
    assert other.last.scrubber.text(token.encode()) == b"#{SECRETS.API}"
    one.now = other.now = one.now + 3400
    assert await other.token() == token
    await other.settled()
    one.tokens.kept.hear()
    renewed = await one.token()
    assert renewed == await other.token() != token and len(one.issuer.log) == 2
    assert one.last.scrubber.text(f"{token} {renewed}".encode()) == b"#{SECRETS.API} #{SECRETS.API}"
    for path in (one.folder / "state" / "tokens").iterdir():
        assert token.encode() not in path.read_bytes() and path.stat().st_mode & 0o077 == 0


async def test_a_new_process_goes_on_with_what_there_is(pair, tmp_path):
    """It searches for tokens from before it began."""
    token = await pair[0].token()
    late = House(tmp_path, state=tmp_path / "state", like=pair[0], polls=True)
    while not late.tokens.kept.by_identity:
        await asyncio.sleep(0.01)
    assert await late.token() == token and len(pair[0].issuer.log) == 1
    late.close()


async def test_what_a_stranger_puts_there_is_nothing(pair, caplog):
    """Another version's file, other times, another key, no file of ours: not used, and not searched for."""
    one, other = pair
    await one.token()
    (good,) = (one.folder / "state" / "tokens").iterdir()
    said = json.loads(good.read_text())
    number = iter(range(100))

    def put(text, identity=good.name[:64]):
        (good.parent / f"{identity}.{next(number):016x}").write_text(text)

    put(json.dumps({**said, "ends": said["ends"] + 1000}))
    put(json.dumps(said), "0" * 63 + "f")
    put("{}"), put("["), put('{"copy": 7}'), put(json.dumps({**said, "copy": "x"}))
    bare = Shelved(b"", b"", said["made"], said["renews"], said["ends"] + 2000)
    copy = Locker(b"s" * 32).lock(one.last.plan.making[0][1].open(), bare.binding(good.name[:64]))
    Shelf(good.parent).put(good.name[:64], bare._replace(copy=copy))
    good.unlink()
    other.tokens.kept.hear()
    assert other.tokens.kept.by_identity == {} and "was not written by this data plane" in caplog.text


async def test_what_cannot_be_shared_is_not_used(pair, monkeypatch):
    """A token that the others would not search for; and keys that are not at hand yet are asked for again."""
    one, other = pair

    def full(*_):
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "put", full)
        assert await one.code() == "internal" and one.issuer.tokens
    one.now += 2
    token = await one.token()
    with monkeypatch.context() as patch:
        patch.setattr(other.reader, "locker", lambda _: None)
        other.tokens.kept.hear()
        assert other.tokens.kept.by_identity == {}
    other.tokens.kept.hear()
    assert [each.live.open().reveal().decode() for each in other.tokens.kept.by_identity.values()] == [token]


def test_files_go_when_nobody_searches_for_them(tmp_path):
    """A day after their end; a folder that did not change is not read."""
    shelf, identity = Shelf(tmp_path / "tokens"), Draw("shelf").hex(32)
    assert list(shelf.news(0)) == []
    shelf.put(identity, Shelved(b"copy", b"kid", 1, 2, 3))
    other = Shelf(tmp_path / "tokens")
    ((_, found, token),) = other.news(4e9)
    assert (found, token) == (identity, Shelved(b"copy", b"kid", 1, 2, 3)) and list(other.news(4e9)) == []
    other.sweep(86_400)
    assert len(list((tmp_path / "tokens").iterdir())) == 1
    other.sweep(86_404)
    assert list((tmp_path / "tokens").iterdir()) == [] and kept_tokens.POLL < 0.5
