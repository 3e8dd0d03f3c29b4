"""The report says what was measured: ratios, medians, spread, what is missing and what went wrong."""

import xml.etree.ElementTree as ET

import pytest

from benchmarks.figures import Results, summarise
from benchmarks.loads import LOADS, post
from benchmarks.plot import Panel, Point, svg
from benchmarks.report import Run, number, render, targets
from benchmarks.suite import panels

GET = next(load for load in LOADS if load.name == "get-16")


def round_(rate, **more):
    return {
        "rate": rate, "count": rate, "p50": 1.0, "p99": 2.0, "cpu": 0.5, "memory": 1 << 20, "peak": 0,
        "generator": 0.1, "errors": 0, "example": "", **more,
    }  # fmt: skip


def run_of(rounds, **more):
    titles = {"mitmdump": "mitmdump -q", "egret": "Egret | engine"}
    return Run(Results({"get-16": rounds}), [GET], titles, more.get("absent", {}), {"python": "3.13"}, ["bench"])


def test_figures_are_medians_with_their_spread():
    """The median of three rounds, lowest and highest beside it; CPU per request, not per second."""
    found = summarise([round_(90.0), round_(100.0), round_(200.0)])
    assert (found.rate, found.low, found.high) == (100.0, 90.0, 200.0)
    assert found.cost == pytest.approx(5.0)


def test_ratios_are_taken_round_by_round():
    """The median of the ratios, so that a round on a slow machine counts for both."""
    rounds = {"mitmdump": [round_(10.0), round_(1.0), round_(10.0)], "egret": [round_(20.0), round_(3.0), round_(20.0)]}
    assert Results({"get-16": rounds}).ratio(GET, "egret") == 2.0
    assert Results({"get-16": rounds}).ratio(GET, "express") is None


def test_the_page_has_ratios_before_figures_and_tells_what_is_missing():
    """Aims and ratios first; absent subjects with their reason; a bar in a title does not break the table."""
    rounds = {"mitmdump": [round_(1000.0)], "egret": [round_(2500.0)]}
    page = render(run_of(rounds, absent={"proxy.py": "did not\nstart"}), ["ratios.svg"])
    assert page.index("## Aims") < page.index("## Ratios") < page.index(f"## {GET.title}") < page.index("## Machine")
    assert "| Egret \\| engine | ×2.50 | 2,500 | 2,500–2,500 |" in page
    assert "- proxy.py: did not start" in page


@pytest.mark.parametrize(("load", "warned"), [("0.10 0.2 0.3", False), ("3.50 2.0 1.0", True)])
def test_a_busy_machine_is_said(load, warned):
    """Figures from a machine with other work carry a warning."""
    done = run_of({"mitmdump": [round_(5.0)]})
    page = render(Run(done.results, done.loads, done.titles, {}, {"load before": load}, []), [])
    assert ("Not to be quoted" in page) == warned


def test_errors_are_said_beside_the_figures():
    """A run with errors is marked as not to be used."""
    page = render(run_of({"mitmdump": [round_(5.0)], "egret": [round_(9.0, errors=3, example="status 502")]}), [])
    assert "Figures not to be used:" in page
    assert "3 errors, such as `status 502`" in page


@pytest.mark.parametrize(("rate", "verdict"), [(1999.0, "no"), (2000.0, "yes")])
def test_an_aim_is_reached_or_not(rate, verdict):
    """The bound itself counts as reached."""
    aims = targets(Results({"get-16": {"mitmdump": [round_(1000.0)], "egret": [round_(rate)]}}))
    line = next(line for line in aims.splitlines() if "over stock mitmdump" in line)
    assert line.endswith(f"| {verdict} |")


def test_the_plot_is_xml_with_a_point_per_subject():
    """Labels are escaped; the higher ratio stands further right; what gave nothing is not drawn."""
    done = run_of({"mitmdump": [round_(100.0)], "egret": [round_(400.0)]})
    root = ET.fromstring(svg(panels(done)))
    circles = [element for element in root if element.tag.endswith("circle")]
    assert [float(circle.get("cx")) for circle in circles] == sorted(float(circle.get("cx")) for circle in circles)
    assert len(circles) == 2
    ET.fromstring(svg([Panel("<a & b>", [Point("x<y", 1.0, 0.9, 1.1, "×1")])]))


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0312, "0.031"), (0.5, "0.50"), (12.34, "12.3"), (12345.6, "12,346")]
)
def test_numbers_have_three_digits(value, text):
    """No more digits than the noise allows."""
    assert number(value) == text


def test_the_posted_body_has_one_placeholder_and_the_size_it_says():
    """About 10 KiB, the credential once."""
    body = post("#{SECRETS.BENCH}")
    assert 9_500 < len(body) < 10_750
    assert body.count(b"#{SECRETS.BENCH}") == 1


def test_loads_and_subjects_fit_together():
    """Names are unique, and every load measures its own base."""
    assert len({load.name for load in LOADS}) == len(LOADS)
    assert all(load.base in load.subjects for load in LOADS)
