"""How lines look: text or objects, and nothing of an exception but its class."""

import io
import json
import logging
import re

import pytest

from egret import logs

CANARY = "canary-in-an-exception"


@pytest.fixture
def written(monkeypatch):
    """Configure as a process does, with stderr in memory; what was there before is put back."""
    names = ("", *logs.OURS)
    before = [
        (logging.getLogger(name), [*logging.getLogger(name).handlers], logging.getLogger(name).level) for name in names
    ]
    propagate = {name: logging.getLogger(name).propagate for name in logs.OURS}
    stream = io.StringIO()

    def configure(*args):
        monkeypatch.setattr("sys.stderr", stream)  # here: between a fixture and its test pytest puts back its own
        logs.configure(*args)
        return stream

    yield configure
    logging.captureWarnings(False)
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    for name, value in propagate.items():
        logging.getLogger(name).propagate = value


def fail():
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("egret.x").exception("it failed")


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_is_its_class(written, form):
    """Its text and its frames may hold anything."""
    stream = written(form, "info")
    fail()
    assert "it failed" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert CANARY not in stream.getvalue()
    assert "test_logs.py" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_libraries_are_silent(written, form):
    """What they say holds peers' bytes."""
    stream = written(form, "info")
    for name in ("asyncio", "mitmproxy.proxy", "aiohttp.access", "py.warnings", ""):
        logging.getLogger(name).critical(CANARY)
    assert stream.getvalue() == ""


def test_a_line_is_one_object(written):
    """Whatever is in it: a line feed does not begin another."""
    stream = written("json", "info")
    logging.getLogger("store.x").warning("a\nb %s", '"', extra={"request_id": "req_1"})
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said.pop("time"))
    assert said == {"level": "warning", "logger": "store.x", "message": 'a\nb "', "request_id": "req_1"}


@pytest.mark.parametrize(("level", "told"), [("info", "iwe"), ("warning", "we"), ("error", "e")])
def test_levels(written, level, told):
    """The least that is written."""
    stream = written("json", level)
    logger = logging.getLogger("egret.x")
    logger.debug("d")
    logger.info("i")
    logger.warning("w")
    logger.error("e")
    assert "".join(json.loads(line)["message"] for line in stream.getvalue().splitlines()) == told


def test_a_request_in_both_forms():
    """The same members; as text without those that are empty."""
    members = {"request_id": "req_1", "method": "", "status": 200, "code": "", "injected": ["A", "B"], "carried": 0}
    said = json.loads(logs.request_object(1767605401.5, members))
    assert said == {"time": "2026-01-05T09:30:01.500Z", "level": "info", "logger": "egret.requests", **members}
    text = logs.request_text(1767605401.5, members)
    assert re.fullmatch(r"\S+ \S+,500 egret\.requests INFO request_id=req_1 status=200 injected=A,B\n", text)


def test_what_the_supervisor_says():
    """A line for people, or an object as those of its children."""
    assert logs.spoken("text", "it is so") == "egret: it is so"
    assert json.loads(logs.spoken("json", "it is so"))["message"] == "it is so"
