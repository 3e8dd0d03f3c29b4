"""The real `egret serve`: a refresh token is traded once for all processes, and its successor is stored by them."""

import concurrent.futures
import json
import urllib.request

import pytest
from rotating import Rotating
from served import Egret, wait_for

pytestmark = pytest.mark.e2e
ORIGIN = "https://app.test"


def test_one_login_for_all_processes(tmp_path):
    """Put and tested by the command line; a thousand first uses of two workers and the gateway make one call; nothing shows a value."""
    with Egret(tmp_path, "proxy: {listen: '127.0.0.1:0', workers: 2}\n") as egret:
        issuer = Rotating(egret.authority, host="localhost")
        dataset = egret.dataset(egress={"default": "allow"})
        words = [f"--parameter={name}={said}" for name, said in issuer.parameters.items()]
        put = ("secret", "put", "API", "-d", dataset["id"], "--kind", "oauth2_refresh", *words)
        seen = [egret.cli(*put, "--host", egret.upstream.origin, input=issuer.login().decode()).stdout]
        session = egret.session(dataset, origins=[ORIGIN])

        def some(number: int) -> bytes:
            if number == 0:
                url = f"{session['gateway_url']}/https/{egret.upstream.origin}/x"
                fields = {"Origin": ORIGIN, "Authorization": "Bearer #{SECRETS.API}"}
                with urllib.request.urlopen(urllib.request.Request(url, headers=fields), timeout=60) as answer:
                    return b"HTTP/1.1 %d" % answer.status + answer.read()
            head = f"GET /x HTTP/1.1\r\nHost: {egret.upstream.origin}\r\nAuthorization: Bearer #{{SECRETS.API}}\r\n"
            with egret.tunnel(session["token"]) as sock:
                sock.sendall(f"{head}\r\n".encode() * 24 + f"{head}Connection: close\r\n\r\n".encode())
                return b"".join(iter(lambda: sock.recv(65536), b""))

        with concurrent.futures.ThreadPoolExecutor(41) as pool:
            answers = [*pool.map(some, range(41))]
        assert sum(each.count(b"HTTP/1.1 200") for each in answers) == 1001
        assert (issuer.faults, issuer.calls, issuer.reused) == ([], 1, 0)
        assert {each.header("Authorization") for each in egret.upstream.log} == {b"Bearer " + issuer.tokens[0].encode()}
        path = f"/projects/default/datasets/{dataset['id']}/secrets/API"
        wait_for(lambda: egret.api("GET", path)[1]["version"] == 2, "the next version")

        said = egret.cli("secret", "test", "API", "-d", dataset["id"], "--json")
        assert json.loads(said.stdout)["kind"] == "oauth2_refresh", said.stderr
        issuer.logins[next(iter(issuer.logins))].clear()
        egret.cli(*put, input=issuer.login().decode())
        said = egret.cli("secret", "test", "API", "-d", dataset["id"], "--json")
        wait_for(lambda: egret.api("GET", path)[1]["version"] == 4, "a trial that lost nothing")
        assert (issuer.calls, issuer.reused) == (2, 0)
        egret.cli(*put, input=issuer.value("of no login at all").decode())
        refused = egret.cli("secret", "test", "API", "-d", dataset["id"], check=False)
        assert refused.returncode == 1 and "refresh token" in refused.stderr, refused.stderr
        wait_for(lambda: "needs_login" in {each["code"] for each in egret.api("GET", path)[1]["warnings"]}, "a warning")
        listed = egret.cli("secret", "ls", "-d", dataset["id"]).stderr
        assert "API: Its refresh token is used up" in listed
        rows = {row["action"] for row in egret.api("GET", "/audit/")[1]["items"]}
        assert {"store:rotate", "store:needs_login", "use:token"} <= rows
        egret.stop()
        files = [path.read_bytes() for path in egret.data.rglob("*") if path.is_file()]
        texts = [*seen, said.stdout, refused.stderr, listed, egret.errors]
        for each in issuer.secrets:
            forms = {each.encode(), json.dumps(each)[1:-1].encode()}
            assert not any(
                form in one for form in forms for one in (*answers, *files, *(text.encode() for text in texts))
            )
        issuer.close()
