"""config/monitoring: the dashboard and the rules that Egret brings name metrics that there are.

That the table of metrics is what a scrape really has: tests/e2e/test_observability.py.
"""

import json
import re
from pathlib import Path

import pytest
import yaml

from proxy.status.catalogue import METRICS
from store.api import metrics as control

HERE = Path(__file__).parents[1] / "config" / "monitoring"
EXPORTED = {each.exported: each for each in [*METRICS.values(), *control.METRICS]}
GIVEN = {"instance", "job", "engine", "worker", "le"}
"""Labels that Prometheus, and every process, adds."""


def dashboard():
    return json.loads((HERE / "grafana.json").read_text())


def rules():
    return [rule for group in yaml.safe_load((HERE / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]


def expressions():
    found = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    found += [variable["query"] for variable in dashboard()["templating"]["list"] if variable["type"] == "query"]
    return found + [rule["expr"] for rule in rules()]


def named(expression: str) -> list[tuple[str, set[str]]]:
    """The metrics of an expression, and the labels each is asked for."""
    found = re.findall(r"\b(egret_\w+)(?:\{([^}]*)\})?", expression)
    return [(name, set(re.findall(r"(\w+)\s*[=!]~?\s*\"", labels))) for name, labels in found]


def metric(name: str):
    """The metric that a series' name belongs to."""
    bare = re.sub(r"_(bucket|sum|count)$", "", name)
    return EXPORTED.get(name) or (EXPORTED.get(bare) if EXPORTED[bare].kind == "histogram" else None)


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_exported(expression):
    """Names and labels; and an expression has as many brackets closed as opened."""
    for name, labels in named(expression):
        found = metric(name)
        assert found is not None, name
        assert labels <= {*found.labels, *GIVEN}, name
        rated = re.search(rf"(rate|increase)\({name}\b", expression)
        assert bool(rated) == (found.kind != "gauge"), "counters are asked for their rate, gauges as they are"
    for pair in ("()", "{}", "[]"):
        assert expression.count(pair[0]) == expression.count(pair[1])
    grouped = {label.strip() for by in re.findall(r"\bby \(([^)]*)\)", expression) for label in by.split(",")}
    known = {label for name, _ in named(expression) for label in metric(name).labels}
    assert grouped <= known | GIVEN


def test_the_dashboard_shows_every_metric_of_the_proxies():
    """What is worth exporting is worth a look."""
    shown = {metric(name).exported for expression in expressions() for name, _ in named(expression)}
    assert {each.exported for each in METRICS.values()} - shown == set()


def test_the_dashboard_can_be_imported():
    """Panels do not overlap, each has an id of its own and a data source that is chosen when it is imported."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel.get("targets", ()))


def test_each_rule_says_what_is_wrong():
    """A name of its own, a severity, and a summary."""
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 5
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]
        told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        grouped = re.search(r"\bby \(([^)]*)\)", rule["expr"])
        if grouped:
            assert told <= {label.strip() for label in grouped[1].split(",")}, rule["alert"]


def test_the_scrape_configuration_goes_where_the_listeners_are():
    """Default addresses, and the job names that the rules ask for."""
    from egret.sections import Settings

    jobs = {job["job_name"]: job for job in yaml.safe_load((HERE / "prometheus.yaml").read_text())["scrape_configs"]}
    targets = {name: job["static_configs"][0]["targets"] for name, job in jobs.items()}
    settings = Settings()
    assert targets == {"egret": [str(settings.proxy.status)], "egret-store": [str(settings.admin.listen)]}
    (asked,) = {name for rule in rules() for name in re.findall(r'job=~"([^"]*)"', rule["expr"])}
    assert set(asked.split("|")) == set(jobs)
