"""The extraction attacks through the gateway: answers with guesses look the same whatever a store holds."""

import probes
import pytest
from gatehouse import ANYWHERE, Gatehouse, drained

VALUES = {name: probes.drawn(name) for name in ("mine", "other")}


@pytest.fixture(scope="module")
def gate():
    with Gatehouse() as house:
        for dataset, value in VALUES.items():
            house.reader.egress[dataset] = ANYWHERE
            house.reader.put("KEY", value, house.up.origin, dataset=dataset)
        house.tokens = {dataset: house.reader.open(dataset) for dataset in VALUES}
        yield house


def asked(gate, dataset: str) -> bytes:
    path = f"/s/{gate.tokens[dataset]}/https/{gate.up.origin}/x"
    with gate.dial(20) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n".encode())
        return drained(sock)


@pytest.mark.parametrize("share", probes.SHARES)
@pytest.mark.parametrize("kind", probes.KINDS)
def test_answers(gate, kind, share):
    """Body and fields."""
    stream, text = probes.KINDS[kind], probes.guesses(VALUES["mine"], share)
    wire = stream.wire(probes.FIRST + text + probes.LAST)
    stream = stream._replace(fields=(*stream.fields, (b"X-Echo", VALUES["mine"][: int(28 * share)])))
    gate.up.routes[b"/"] = lambda request, conn: stream.send(conn, wire)
    mine, other = (probes.seen(asked(gate, dataset), stream.coding) for dataset in VALUES)
    assert mine == other
    assert mine[0][0].startswith(b"HTTP/1.1 %d" % stream.status)
    assert probes.LAST in mine[1]
    assert b"SECRETS" not in mine[1]


def test_a_whole_value_is_told(gate):
    """Or the other tests would compare two stores that search for nothing."""
    stream = probes.KINDS["length"]
    gate.up.routes[b"/"] = lambda request, conn: stream.send(conn, VALUES["mine"])
    mine, other = (asked(gate, dataset) for dataset in VALUES)
    assert VALUES["mine"] in other
    assert VALUES["mine"] not in mine


@pytest.mark.parametrize("share", probes.SHARES)
@pytest.mark.parametrize("message", probes.MESSAGES)
def test_messages(gate, message, share):
    """Frames, their sizes and their order."""
    gate.up.routes[b"/"] = probes.socket_route(message, VALUES["mine"], share)

    def frames(dataset):
        with gate.dial(20) as sock:
            return probes.frames(sock, "gw", f"/s/{gate.tokens[dataset]}/https/{gate.up.origin}/x")

    mine, other = (frames(dataset) for dataset in VALUES)
    assert mine == other
    assert mine[0][1]
