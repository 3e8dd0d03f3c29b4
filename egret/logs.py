"""How the lines look that Egret writes to stderr: text for people, or a JSON object each (`log.format`).

Nobody but us writes to the log: messages of libraries hold peers' bytes, addresses and the texts of exceptions. Of an
exception that we log ourselves its class is told, never its text or its frames, which may hold anything.
"""

import functools
import logging
import time
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, Final

OURS: Final = ("egret", "store")
"""Loggers of ours; all others are silent."""

LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
REQUESTS: Final = "egret.requests"
"""The name under which requests are told (`log.requests`)."""


def configure(form: str = "text", level: str = "info") -> None:
    """Say how lines look from now on, and which there are."""
    root = logging.getLogger()
    root.handlers[:] = [logging.NullHandler()]
    root.setLevel(logging.CRITICAL + 1)
    logging.captureWarnings(capture=True)
    handler = logging.StreamHandler()
    handler.setFormatter(Lines() if form == "json" else Terse("%(asctime)s %(name)s %(levelname)s %(message)s"))
    for name in OURS:
        ours = logging.getLogger(name)
        ours.propagate = False
        ours.handlers[:] = [handler]
        ours.setLevel(LEVELS[level])


class Terse(logging.Formatter):
    """Names the class of an exception."""

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802  # logging's name
        """Return the class's name."""
        return _class(ei)


class Lines(logging.Formatter):
    """Writes an object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return it."""
        members = {"message": record.getMessage()}
        if request_id := getattr(record, "request_id", ""):
            members["request_id"] = request_id
        if record.exc_info:
            members["exception"] = _class(record.exc_info)
        return _object(record.created, record.levelname.lower(), record.name, members)


def _class(ei: Any) -> str:  # noqa: ANN401
    return str(getattr(ei[0], "__name__", "unknown"))


def _object(at: float, level: str, name: str, members: Mapping[str, object]) -> str:
    """Write a line; seconds to the microsecond. Written by hand: `json.dumps` takes twice as long for each."""
    told = []
    for key, each in members.items():
        if type(each) is str:
            told.append(f',"{key}":{_quoted(each)}')
        elif type(each) is float:
            told.append(f',"{key}":{each:.6f}')
        elif type(each) is list:
            told.append(f',"{key}":[{",".join(map(_quoted, each))}]')
        else:
            told.append(f',"{key}":{int(each)}')  # type: ignore[call-overload]
    return f'{{"time":"{_utc(int(at))}.{int(at % 1 * 1000):03d}Z","level":"{level}","logger":"{name}"{"".join(told)}}}'


@functools.lru_cache(maxsize=4)
def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


@functools.lru_cache(maxsize=4)
def _local(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def request_object(at: float, members: Mapping[str, object]) -> str:
    """Return the line of a request as JSON."""
    return _object(at, "info", REQUESTS, members) + "\n"


def request_text(at: float, members: Mapping[str, object]) -> str:
    """Return the line of a request as text: what is empty is left out."""
    words = " ".join([f"{name}={_plain(value)}" for name, value in members.items() if value])
    return f"{_local(int(at))},{int(at % 1 * 1000):03d} {REQUESTS} INFO {words}\n"


def _plain(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6f}"
    return ",".join(value) if isinstance(value, list) else value


def spoken(form: str, text: str) -> str:
    """Return a line of the supervisor."""
    return _object(time.time(), "info", "egret.serve", {"message": text}) if form == "json" else f"egret: {text}"
