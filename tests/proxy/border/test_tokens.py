"""Tokens: made once for all who wait, renewed, let go of, and refused in words; over a real endpoint, by a clock of ours."""

import asyncio
import json

import pytest
from draw import Draw
from issuer import SECRET, answer
from token_house import House
from upstream import response

from proxy.admission.events import SpoolError
from proxy.border import endpoint, given, kept_tokens, tokens


@pytest.fixture
async def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()


async def test_a_thousand_first_uses_make_one_call(house):
    """Of two sessions of a dataset: they share its secrets, and so its tokens."""
    house.issuer.gate.clear()
    other = house.reader.open()
    waiting = [asyncio.create_task(house.token(session)) for session in (house.session, other) for _ in range(500)]
    while not house.issuer.log:
        await asyncio.sleep(0.01)
    house.issuer.gate.set()
    got = await asyncio.gather(*waiting)
    assert set(got) == set(house.issuer.tokens) and len(house.issuer.log) == 1 == house.pool.dialled
    numbers = {(name, *labels): value for name, labels, value in house.services.meters.watched()}
    assert (numbers["tokens_kept",], numbers["token_calls", "made"]) == (1, 1)


async def test_it_is_renewed_before_it_ends(house):
    """Towards its end nobody waits for the next one; what is over, or idle, is not used; the elder are searched for."""
    first = await house.token()
    house.now += 3600 - 301
    assert await house.token() == first and len(house.issuer.log) == 1
    house.now += 2
    assert await house.token() == first
    await house.settled()
    second = await house.token()
    assert [first, second] == house.issuer.tokens
    house.now += 3600
    third = await house.token()
    assert third == house.issuer.tokens[2]
    house.now += kept_tokens.IDLE + 1
    house.tokens.kept.sweep()
    fourth = await house.token()
    searched_for = house.last.scrubber.text(" ".join(house.issuer.tokens).encode())
    assert len({first, second, third, fourth}) == 4 and searched_for == b" ".join([b"#{SECRETS.API}"] * 4)
    house.now += 86_400
    house.tokens.kept.sweep()
    await house.token()
    assert house.last.scrubber.text(first.encode()) == first.encode()


async def test_a_renewal_that_fails_leaves_the_present_one(house):
    """For as long as it lives; the endpoint is asked seldom meanwhile."""
    first = await house.token()
    house.issuer.instead += [answer({"error": "x"}, status=b"401 No")] * 3
    house.now += 3500
    for _ in range(5):
        assert await house.token() == first
        await house.settled()
    assert len(house.issuer.log) == 2
    house.now += 1.5
    assert await house.token() == first
    await house.settled()
    assert len(house.issuer.log) == 3
    house.now += 100
    assert await house.code() == "token_refused"


async def test_a_401_makes_the_next_one_new(house):
    """Not one of a token that is young: code that provokes 401 would make tokens without end."""
    first = await house.token()
    house.tokens.doubt(house.last.plan)
    assert await house.token() == first
    house.now += tokens.DOUBT
    before = house.last.plan
    house.tokens.doubt(before)
    second = await house.token()
    house.now += tokens.DOUBT
    house.tokens.doubt(before)
    assert await house.token() == second != first
    assert house.last.scrubber.text(f"{first} {second}".encode()) == b"#{SECRETS.API} #{SECRETS.API}"
    for _ in range(30):
        house.now += tokens.DOUBT
        await house.token()
        house.tokens.doubt(house.last.plan)
    assert len(house.issuer.log) == 1 + given.ELDER, "no more than are searched for"


async def test_what_is_taken_away_is_let_go_of(house):
    """A version that may not be used any more has no token in use, and has not when it comes back."""
    await house.token()
    kept = house.reader.secrets["d1"][0]
    house.reader.secrets["d1"] = []
    house.reader.moved()
    assert await house.code() == "unknown_secret"
    house.tokens.kept.look()
    assert [each.live for each in house.tokens.kept.by_identity.values()] == [None]
    house.reader.secrets["d1"] = [kept]
    house.reader.moved()
    await house.token()
    assert len(set(house.issuer.tokens)) == 2
    house.reader.revoke(house.session)
    house.tokens.kept.look()
    assert [each.live is None for each in house.tokens.kept.by_identity.values()] == [False], "other sessions may go on"
    house.now += kept_tokens.IDLE + 1
    house.tokens.kept.sweep()
    assert [each.live for each in house.tokens.kept.by_identity.values()] == [None]
    house.now += 86_401
    house.tokens.kept.sweep()
    assert house.tokens.kept.by_identity == {}


def drip(request, conn):
    """Never ends."""
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    conn.settimeout(60)
    conn.recv(1)


def hang_up(request, conn):
    return


GOOD = {"access_token": Draw("good").letters(40), "token_type": "Bearer", "expires_in": 3600}
BAD = {
    "garbage": answer(b"<html>"),
    "not an object": answer(b'["x"]'),
    "twice": answer(json.dumps(GOOD).encode()[:-1] + b', "expires_in": 60}'),
    "huge": answer(b" " * (64 << 10) + json.dumps(GOOD).encode()),
    "huge, in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 5
    + b"0\r\n\r\n",
    "encoded": answer(GOOD, b"Content-Encoding: gzip"),
    "redirect": response(b"", b"Location: https://localhost/", status=b"307 Temporary Redirect"),
    "created": answer(GOOD, status=b"201 Created"),
    "not there": answer(GOOD, status=b"404 Not Found"),
    "a word": answer({**GOOD, "access_token": "the"}),
    "a break": answer({**GOOD, "access_token": GOOD["access_token"] + "\r\nX: y"}),
    "too long": answer({**GOOD, "access_token": "x" * 16_385}),
    "no text": answer({**GOOD, "access_token": 7}),
    "another type": answer({**GOOD, "token_type": "mac"}),
    "for a moment": answer({**GOOD, "expires_in": 29}),
    "for ever": answer({**GOOD, "expires_in": 86_401}),
    "true": answer({**GOOD, "expires_in": True}),
    "without an end": answer({name: said for name, said in GOOD.items() if name != "expires_in"}),
}


async def test_an_answer_that_is_none(house):
    """Is refused once, never followed or searched for, and not asked for again at once."""
    for name, bad in BAD.items():
        house.put()
        house.issuer.forget()
        house.issuer.instead += [bad]
        assert (await house.code(), await house.code()) == ("token_unavailable", "token_unavailable"), name
        assert len(house.issuer.log) == 1 and house.wait >= 1, name
    house.issuer.forget()
    house.put()
    house.issuer.instead += [bad] * 2
    await house.code()
    house.now += 1.01
    assert await house.code() == "token_unavailable"
    house.now += 1.01
    assert await house.code() == "token_unavailable" and len(house.issuer.log) == 2, "the second time it waits longer"
    house.now += 1.01
    assert await house.token() in house.issuer.tokens


async def test_what_passes_is_tried_again(house, monkeypatch):
    """Twice, within the time that a request waits; an endpoint that says when to come again is not pressed."""
    monkeypatch.setattr(tokens, "PAUSES", (0.01, 0.01))
    for fault in (hang_up, response(b"", status=b"503 Busy"), b"220 ready\r\n\r\n"):
        house.put()
        house.issuer.forget()
        house.issuer.instead += [fault, fault]
        assert await house.token() in house.issuer.tokens and len(house.issuer.log) == 3
    house.put()
    house.issuer.instead += [response(b"", b"Retry-After: 40", status=b"429 Slow down")]
    assert await house.code() == "token_unavailable" and house.wait == 41
    assert len(house.issuer.log) == 4
    house.now += 41
    await house.token()


async def test_a_slow_endpoint(house, monkeypatch):
    """Its time is bounded, whoever waits."""
    monkeypatch.setattr(tokens, "PATIENCE", 0.2)
    house.issuer.instead += [drip]
    got = await asyncio.gather(*[house.code() for _ in range(10)])
    assert set(got) == {"token_unavailable"} and len(house.issuer.log) == 1


async def test_where_it_may_be(tmp_path, house, monkeypatch):
    """Not at a private address, nor without a certificate that is trusted, nor where nobody listens."""
    monkeypatch.setattr(tokens, "PAUSES", (0.01, 0.01))
    house.put(token_url="https://auth.test:9/token")
    assert await house.code() == "token_unavailable"
    house.put(token_url=house.issuer.token_url.replace("auth.test", "api.test"))
    assert await house.code() == "token_unavailable"
    house.reader.egress["d1"] = {"default": "deny", "allow": ["api.test"]}
    house.put()
    assert await house.code() == "token_blocked"
    for number, options in enumerate(({"private": ()}, {"trusted": False})):
        (tmp_path / str(number)).mkdir()
        other = House(tmp_path / str(number), **options)
        assert await other.code() == ("token_blocked" if number == 0 else "token_unavailable")
        assert other.issuer.received == b""
        other.close()
    assert house.issuer.received == b""


async def test_how_the_client_says_who_it_is(house):
    """In the form, where the endpoint wants that; a value that its client sealed wrong says so."""
    house.issuer.way = "post"
    house.put()
    assert await house.token() in house.issuer.tokens and house.issuer.faults == []
    house.put(b'{"client_id": "x"}')
    assert await house.code() == "value_not_encodable"


async def test_a_fault_is_a_refusal(house, monkeypatch, caplog):
    """In any step, without a word of it; and what cannot be written down is not done."""

    def fails(*_, **__):
        raise RuntimeError("fault-canary-text")

    for owner, name in ((tokens, "ask"), (endpoint, "call"), (endpoint, "read"), (tokens.Tokens, "_keep")):
        house.put()
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fails)
            assert await house.code() == "internal"
    assert "fault-canary" not in caplog.text
    house.now += 2

    def full(*_):
        raise SpoolError("full")

    with monkeypatch.context() as patch:
        patch.setattr(house.spool, "write", full)
        before = len(house.issuer.log)
        assert await house.code() == "internal" and len(house.issuer.log) == before
    house.now += 3
    await house.token()


async def test_nothing_shows_a_token(house, caplog):
    """Not what is kept, not a plan, not an error."""
    token = await house.token()
    shown = repr(
        [house.last.plan, house.tokens.__dict__, house.tokens.kept.by_identity, *house.last.plan.grants.values()]
    )
    assert token not in shown + caplog.text and SECRET not in shown + caplog.text
