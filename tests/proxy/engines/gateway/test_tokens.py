"""A page's placeholder becomes a token at the gateway too: it is the same border."""

from certificates import Authority
from gatehouse import LOOPBACK, Gatehouse
from issuer import SECRET, VALUE, Issuer

from proxy.admission.destination import AddressGuard
from store.kinds import Credential


async def resolve(host, port):
    return ["127.0.0.1"]


def test_a_page_asks_with_a_token(tmp_path):
    """What it is answered has neither the token nor the client's secret; the endpoint needs no rule of the page's."""
    authority = Authority(tmp_path)
    issuer = Issuer(authority)
    guard = AddressGuard(allow_private=LOOPBACK, resolve=resolve)
    with Gatehouse(guard=guard, trust=[authority.path]) as gate:
        gate.reader.egress.clear()
        credential = Credential("oauth2_client", issuer.parameters)
        gate.reader.put("API", VALUE, gate.up.origin, credential=credential)
        for _ in range(2):
            status, _, body = gate.get("/x", {"Authorization": "Bearer #{SECRETS.API}"})
            assert status == 200 and b"Bearer #{SECRETS.API}" in body, body
        (token,) = issuer.tokens
        assert gate.up.log[-1].header("Authorization").decode() == f"Bearer {token}" and issuer.faults == []
        said = repr(gate.events()).encode() + body
        assert token.encode() not in said and SECRET.encode() not in said + gate.up.received
    issuer.close()
