"""A page logs in at the gateway: what it gets is a placeholder of its session, as in the forward proxy."""

import base64
import json

from gatehouse import LOOPBACK, ORIGIN, Gatehouse
from login_house import CLIENT, SECRET, LoginHouse

from proxy.admission.destination import AddressGuard


def test_a_page_logs_in(tmp_path):
    """It reaches the hosts that a captured token may go to, though no secret may; another session has no use for it."""
    house = LoginHouse(tmp_path / "house")
    guard = AddressGuard(allow_private=LOOPBACK, resolve=house.resolve)
    with Gatehouse(guard=guard, trust=[house.authority.path], reader=house.reader) as gate:
        gate.token, other = (house.store.token(origins=[ORIGIN]) for _ in range(2))
        basic = base64.b64encode(f"{CLIENT}:#{{SECRETS.CLIENT}}".encode()).decode()
        fields = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        form, auth, api = b"grant_type=client_credentials", house.at(house.auth), house.at(house.api)
        seen = [gate.get("/oauth/token", fields, method="POST", body=form, destination=auth)]
        token = json.loads(seen[0][2])["access_token"]
        assert seen[0][0] == 200 and token.startswith("#{SECRETS.CLIENT.")
        bearer = {"Authorization": f"Bearer {token}"}
        seen.append(gate.get("/me", bearer, destination=api))
        assert seen[1][0] == 200 and house.api.log[-1].header("Authorization").decode()[7:] in house.live
        assert b"Bearer #{SECRETS.*}" in seen[1][2]
        refused = gate.get("/me", bearer, destination=api, token=other)
        assert refused[1]["Egret-Error"] == "unknown_secret"
        house.instead.append(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 40\r\n\r\n" + SECRET.encode()
        )
        withheld = gate.get("/oauth/token", fields, method="POST", body=form, destination=auth)
        assert (withheld[0], withheld[1]["Egret-Error"]) == (502, "answer_withheld")
        house.clean(*(repr(headers).encode() + body for _, headers, body in [*seen, refused, withheld]))
        house.clean(repr(gate.events()).encode())
    house.close()
