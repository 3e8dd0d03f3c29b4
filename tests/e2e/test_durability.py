"""kill -9 of the store in the middle of a stream of acknowledged puts, ten times: no acknowledged version is lost."""

import http.client
import json
import os
import signal
import threading
import time

from served import wait_for

PUTS = 2000
KILLS = 10


class Putter(threading.Thread):
    """Puts a new value under one of its names again and again; remembers what was acknowledged."""

    def __init__(self, egret, dataset, name, count):
        super().__init__(daemon=True)
        self.egret, self.path, self.count = egret, f"/projects/default/datasets/{dataset['id']}/secrets/{name}", count
        self.acknowledged: dict[int, str] = {}
        self.unclear = 0
        self.done = 0

    def run(self):
        conn = None
        while self.done < self.count:
            value = f"value-{self.done:06d}-{self.name}"
            try:
                conn = conn or http.client.HTTPConnection(*self.egret.address("admin"), timeout=30)
                body = json.dumps({"value": value, "hosts": [self.egret.upstream.origin]})
                conn.request("PUT", self.path, body, {
                    "Authorization": f"Api-Key {self.egret.key}", "Content-Type": "application/json",
                })  # fmt: skip
                answer = conn.getresponse()
                document = json.loads(answer.read())
                assert answer.status in {200, 201}, document
            except (OSError, http.client.HTTPException):
                self.unclear += 1  # not acknowledged: it may be there or not
                conn = None
                continue
            self.acknowledged[document["version"]] = value
            self.done += 1


def test_no_acknowledged_put_is_lost(egret):
    """2,000 acknowledged puts by two clients, ten kills: every version is there, the last value is what is injected."""
    dataset = egret.dataset()
    names = ("LEFT", "RIGHT")
    putters = [Putter(egret, dataset, name, PUTS // 2) for name in names]
    for putter in putters:
        putter.start()
    total = lambda: sum(putter.done for putter in putters)  # noqa: E731
    for kill in range(KILLS):
        wait_for(lambda mark=(kill + 1) * PUTS // (KILLS + 1): total() >= mark, "puts", 60)
        store = egret.pid("store")
        os.kill(store, signal.SIGKILL)
        wait_for(lambda store=store: egret.pids("store") not in ([], [store]), "a new store", 30)
    for putter in putters:
        putter.join(60)
        assert putter.done == PUTS // 2
    assert egret.errors.count("egret: store was killed by SIGKILL; starting it again") >= KILLS
    for name, putter in zip(names, putters, strict=True):
        assert acknowledged_versions(egret, dataset, name) >= putter.acknowledged.keys()
        assert len(putter.acknowledged) == PUTS // 2  # no version number was given twice
    assert_last_value_is_injected(egret, dataset, putters)
    status, document, *_ = egret.api("GET", "/audit/verify")
    assert status == 200, document


def acknowledged_versions(egret, dataset, name) -> set[int]:
    """Every version the store knows, by its list or, where it keeps fewer, by the newest version's number."""
    path, found, cursor = f"/projects/default/datasets/{dataset['id']}/secrets/{name}/versions/?limit=200", set(), ""
    while True:
        status, document, raw, _ = egret.api("GET", path + (f"&cursor={cursor}" if cursor else ""))
        assert status == 200, raw
        found |= {item["version"] for item in document["items"]}
        if not (cursor := document["next"]):
            return found


def assert_last_value_is_injected(egret, dataset, putters):
    """The proxy has recovered by itself and injects what was put last."""
    token = egret.session(dataset)["token"]
    for name, putter in zip(("LEFT", "RIGHT"), putters, strict=True):
        last = putter.acknowledged[max(putter.acknowledged)]
        deadline = time.monotonic() + 5
        while True:
            egret.upstream.forget()
            egret.get(token, "/x", f"X: #{{SECRETS.{name}}}")
            if egret.upstream.log and egret.upstream.log[-1].header("X") == last.encode():
                break
            assert time.monotonic() < deadline, egret.upstream.log
