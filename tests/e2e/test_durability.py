"""kill -9 of the store in the middle of a stream of acknowledged puts: no acknowledged version is lost."""

import http.client
import json
import os
import signal
import threading

import pytest
from served import Egret, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PUTS = 400
KILLS = 4
CLIENTS = 2
NAMES = 5
"""Per client."""
KEPT = 10
"""How many versions of a secret the store keeps; older ones are known by the audit alone."""


@pytest.fixture(scope="module")
def egret(tmp_path_factory):
    with Egret(tmp_path_factory.mktemp("egret")) as it:
        yield it


class Putter(threading.Thread):
    """Puts new values under its names in turn; remembers what was acknowledged, and by which version."""

    def __init__(self, egret, dataset, prefix):
        super().__init__(daemon=True)
        self.egret, self.path = egret, f"/projects/default/datasets/{dataset['id']}/secrets/"
        self.names = [f"{prefix}_{number}" for number in range(NAMES)]
        self.acknowledged: dict[tuple[str, int], str] = {}
        self.requests: set[str] = set()
        self.done = 0
        self.fault = None

    def run(self):
        try:
            self._run()
        except BaseException as fault:
            self.fault = fault

    def _run(self):
        conn = None
        while self.done < PUTS // CLIENTS:
            name, value = self.names[self.done % NAMES], f"value-{self.done:06d}-{self.names[0]}"
            try:
                conn = conn or http.client.HTTPConnection(*self.egret.address("admin"), timeout=30)
                body = json.dumps({"value": value, "hosts": [self.egret.upstream.origin]})
                conn.request("PUT", self.path + name, body, {
                    "Authorization": f"Api-Key {self.egret.key}", "Content-Type": "application/json",
                })  # fmt: skip
                answer = conn.getresponse()
                document = json.loads(answer.read())
            except (OSError, http.client.HTTPException):
                conn = None  # not acknowledged, so it may be there or not: put again
                continue
            assert answer.status in {200, 201}, document
            assert (name, document["version"]) not in self.acknowledged
            self.acknowledged[name, document["version"]] = value
            self.requests.add(answer.headers["X-Request-Id"])
            self.done += 1


def test_no_acknowledged_put_is_lost(egret):
    """Each version that two clients were told of is there, and the last ones are injected; `benchmarks kills` kills more often."""
    dataset = egret.dataset()
    putters = [Putter(egret, dataset, prefix) for prefix in ("LEFT", "RIGHT")]
    for putter in putters:
        putter.start()

    def progress(mark):
        assert [putter.fault for putter in putters] == [None, None]
        return sum(putter.done for putter in putters) >= mark

    for kill in range(KILLS):
        wait_for(lambda mark=(kill + 1) * PUTS // (KILLS + 1): progress(mark), "puts")
        store = egret.pid("store")
        os.kill(store, signal.SIGKILL)
        wait_for(lambda store=store: egret.pids("store") not in ([], [store]), "a new store")
    wait_for(lambda: progress(PUTS), "the last puts")
    assert egret.errors.count("egret: store was killed by SIGKILL; starting it again") == KILLS
    acknowledged = {key: value for putter in putters for key, value in putter.acknowledged.items()}
    assert len(acknowledged) == PUTS
    assert missing_versions(egret, dataset, acknowledged) == []
    assert set().union(*(putter.requests for putter in putters)) - audited(egret) == set()
    assert wrong_values(egret, dataset, acknowledged) == []
    status, document, *_ = egret.api("GET", "/audit/verify")
    assert status == 200, document


def missing_versions(egret, dataset, acknowledged) -> list[tuple[str, int]]:
    """Acknowledged versions that should be listed and are not: those among a name's newest."""
    missing = []
    for name in {name for name, _ in acknowledged}:
        path = f"/projects/default/datasets/{dataset['id']}/secrets/{name}/versions/"
        status, document, raw, _ = egret.api("GET", path)
        assert status == 200, raw
        listed = {item["version"] for item in document["items"]}
        assert len(listed) >= KEPT
        missing += [key for key in acknowledged if key[0] == name and key[1] >= min(listed) and key[1] not in listed]
    return missing


def audited(egret) -> set[str]:
    """The request ids of all writes that the audit knows."""
    found, cursor = set(), ""
    while True:
        status, document, raw, _ = egret.api("GET", f"/audit/?limit=200{cursor}")
        assert status == 200, raw
        found |= {item["request_id"] for item in document["items"] if item["action"] == "secrets:write"}
        if not document["next"]:
            return found
        cursor = f"&cursor={document['next']}"


def wrong_values(egret, dataset, acknowledged) -> list[str]:
    """Names whose injected value is not the one that was put last. The proxy has recovered by itself.

    A put that was cut off is repeated with the same value, so the last value is what was acknowledged last.
    """
    token = egret.session(dataset)["token"]
    egret.upstream.forget()
    names = sorted({name for name, _ in acknowledged})
    egret.get(token, "/x", *(f"X-{name}: #{{SECRETS.{name}}}" for name in names))
    (got,) = egret.upstream.log
    last = {name: acknowledged[max(key for key in acknowledged if key[0] == name)].encode() for name in names}
    return [name for name in names if got.header(f"X-{name}") != last[name]]
