"""The real `egret serve`: a client of OAuth is stored by the command line, and every process uses the one token of it."""

import json
import re
import urllib.request

import pytest
from issuer import SECRET, VALUE, Issuer
from served import Egret, wait_for

pytestmark = pytest.mark.e2e
ORIGIN = "https://app.test"


def test_one_token_for_all_processes(tmp_path):
    """Sealed by its client, traded once for workers and gateway; in no answer, file, log or number."""
    with Egret(tmp_path, "proxy: {listen: '127.0.0.1:0', workers: 2}\n") as egret:
        issuer = Issuer(egret.authority, host="localhost")
        dataset = egret.dataset(egress={"default": "allow"})
        words = [f"--parameter={name}={said}" for name, said in issuer.parameters.items()]
        put = ("secret", "put", "API", "--dataset", dataset["id"], "--kind", "oauth2_client", *words)
        egret.cli(*put, "--host", egret.upstream.origin, input=VALUE.decode())
        session = egret.session(dataset, origins=[ORIGIN])
        answers = []
        for _ in range(8):  # connections of their own, which both workers take
            with egret.tunnel(session["token"]) as sock:
                head = f"GET /x HTTP/1.1\r\nHost: {egret.upstream.origin}\r\nAuthorization: Bearer #{{SECRETS.API}}\r\n"
                sock.sendall(head.encode() + b"Connection: close\r\n\r\n")
                answers.append(b"".join(iter(lambda sock=sock: sock.recv(65536), b"")))
            assert answers[-1].startswith(b"HTTP/1.1 200"), answers[-1]
            wait_for(lambda: holders(egret) == 3, "two workers and the gateway to have it")
        url = f"{session['gateway_url']}/https/{egret.upstream.origin}/x"
        asked = urllib.request.Request(url, headers={"Origin": ORIGIN, "Authorization": "Bearer #{SECRETS.API}"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            answers.append(answer.read())
        assert issuer.faults == [] and len(issuer.tokens) == 1
        token = issuer.tokens[0].encode()
        assert {each.header("Authorization") for each in egret.upstream.log} == {b"Bearer " + token}
        rows = wait_for(lambda: [row for row in audit(egret) if row["action"] == "use:token"], "the line")
        assert len(rows) == 1 and "API" in json.dumps(rows[0]), rows
        said = [
            *answers,
            egret.errors.encode(),
            *(path.read_bytes() for path in egret.data.rglob("*") if path.is_file()),
        ]
        for each in (token, SECRET.encode(), json.dumps(SECRET)[1:-1].encode()):
            assert not any(each in one for one in said)
        issuer.close()


def holders(egret) -> int:
    """How many processes have a token."""
    url = re.search(r"(http://\S+)/metrics", egret.errors)[1]
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        return len(re.findall(r"(?m)^egret_proxy_tokens_kept\{.*\} 1(?:\.0)?$", answer.read().decode()))


def audit(egret) -> list[dict]:
    return egret.api("GET", "/audit/?action=use:token")[1]["items"]
