"""Budgets of a real `egret serve`, two workers and the gateway: one count for all, shown to people, kept over a start."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from served import Egret, code, wait_for

pytestmark = pytest.mark.long


def test_one_count_for_all_processes(tmp_path):
    """Of sixty requests that come at once to two workers, just so many pass as the budget says; the gateway knows it."""
    config = "proxy: {listen: '127.0.0.1:0', workers: 2, engine: express}\n"
    with Egret(tmp_path, config) as egret:
        secret = {"name": "KEY", "value": "sk-numbers-7Xk2Mw9Tq4Rb6Yh8", "hosts": [egret.upstream.origin]}
        dataset = egret.dataset(secret)
        limit = ("--unit", "requests", "--per", "ever", "--dataset", dataset["id"])
        egret.cli("budget", "set", "dataset", "--hard", "23", "--soft", "5", *limit)
        # Opened afterwards: a plane that knows them knows the budget.
        token, page = (egret.session(dataset, **more)["token"] for more in ({}, {"origins": ["https://app.test"]}))
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: egret.get(token, "/x", "X: #{SECRETS.KEY}"), range(60)))
        passed = [each for each in answers if each.startswith(b"HTTP/1.1 200")]
        assert {code(each) for each in answers if each not in passed} == {"budget_exhausted"}
        wait_for(lambda: shown(egret, dataset)["used"] == 23, "the count")
        (line,) = json.loads(egret.cli("budget", "ls", "--dataset", dataset["id"], "--json").stdout)
        assert (line["of"], line["used"], line["state"]) == ("dataset", 23, "exhausted")
        assert len(passed) == 23
        status, _, body = gateway(egret, page)
        assert (status, json.loads(body)["code"]) == (429, "budget_exhausted")
        rows = egret.api("GET", f"/audit/?action=use:budget&dataset={dataset['id']}")[1]["items"]
        assert [row["detail"]["code"] for row in rows] == ["dataset requests/ever"]
        egret.stop()
        egret.start()
        assert code(egret.get(token, "/x")) == "budget_exhausted"
        egret.cli("budget", "rm", "dataset", *limit)
        wait_for(lambda: egret.get(token, "/x").startswith(b"HTTP/1.1 200"), "the planes to know it")


def shown(egret, dataset):
    (budget,) = egret.api("GET", f"/projects/default/datasets/{dataset['id']}/budgets/")[1]["items"]
    return budget["counts"][0]


def gateway(egret, token):
    connection = http.client.HTTPConnection(*egret.address("gateway"), timeout=60)
    path = f"/s/{token}/https/{egret.upstream.origin}/x"
    connection.request("GET", path, headers={"Origin": "https://app.test", "Sec-Fetch-Dest": "empty"})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()
