"""Budgets: how much a dataset lets its sessions ask for, as a whole, each, by consumer or by secret. Pure.

A budget is signed with the dataset's other settings (`store.trust.manifest`). What was drawn is counted where requests
are admitted (`proxy.admission.accounts`), and told to the store, which shows it.
"""

import calendar
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

OF: Final = ("dataset", "session", "consumer", "secret")
"""What a budget is of: the dataset as a whole; each session, consumer or secret of it, or the one that is named."""
UNITS: Final = ("requests", "bytes", "tokens", "cost")
"""`cost` is in micro-dollars: whole millionths of a US dollar."""
READ: Final = ("tokens", "cost")
"""Units that answers are read for, and that are known when they have passed."""
PERIODS: Final = ("hour", "day", "month", "ever")
"""Of the calendar, in UTC."""
MOST: Final = 50
"""Budgets of a dataset."""
LARGEST: Final = 2**53 - 1
"""The largest number that every JSON reader keeps exactly."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `hard` of a unit in a period; from `soft` on the log says so. Without both it is counted alone.

    `name` of a consumer or secret: this one; "": each.
    """

    of: str
    unit: str
    per: str
    hard: int | None = None
    soft: int | None = None
    name: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> "Budget":
        """Read a budget; raises `ValueError`, `KeyError`, `TypeError` for what is none."""
        one = cls(given["of"], given["unit"], given["per"], given.get("hard"), given.get("soft"), given.get("name", ""))
        fits = one.of in OF and one.unit in UNITS and one.per in PERIODS and type(one.name) is str
        named = not one.name or one.of in ("consumer", "secret")
        limits = [each for each in (one.soft, one.hard) if each is not None]
        counts = all(type(each) is int and 0 <= each <= LARGEST for each in limits)
        if not (fits and named and counts):
            raise ValueError("budget")
        return one

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a dataset has one budget of at most."""
        return self.of, self.name, self.unit, self.per

    def written(self) -> dict[str, object]:
        """Return it as it is signed."""
        limits = {"hard": self.hard, "soft": self.soft, "name": self.name or None}
        return {"of": self.of, "unit": self.unit, "per": self.per} | {k: v for k, v in limits.items() if v is not None}


def parse_budgets(given: Sequence[Mapping[str, Any]]) -> tuple[Budget, ...]:
    """Read a dataset's budgets; raises as `Budget.parse` does."""
    found = tuple(Budget.parse(each) for each in given)
    if len(found) > MOST or len({each.key for each in found}) < len(found):
        raise ValueError("budgets")
    return found


def period(per: str, now: float) -> tuple[int, int | None]:
    """Return when the period began that `now` is in, and when it ends (Unix seconds)."""
    at = time.gmtime(now)
    if per == "ever":
        return 0, None
    if per == "month":
        following = (at.tm_year + at.tm_mon // 12, at.tm_mon % 12 + 1)
        return calendar.timegm((at.tm_year, at.tm_mon, 1, 0, 0, 0)), calendar.timegm((*following, 1, 0, 0, 0))
    length = {"hour": 3600, "day": 86_400}[per]
    since = int(now) // length * length
    return since, since + length


def said(amount: int, unit: str) -> str:
    """Say an amount to people: requests, bytes and tokens by their number, cost in dollars."""
    if unit != "cost":
        return f"{amount:,} {unit}"
    dollars, rest = divmod(amount, 1_000_000)
    cents = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"${dollars:,}.{cents}"


class Spent(NamedTuple):
    """What was drawn of one unit in one period, in all, as a data plane's folder (`plane`) has it."""

    of: str
    name: str
    unit: str
    per: str
    since: int
    used: int
    plane: str

    @classmethod
    def of_text(cls, text: bytes) -> "Spent":
        """Read what is known to be one."""
        return cls(*json.loads(text))

    @classmethod
    def parse(cls, given: object) -> "Spent":
        """Read it strictly; raises `ValueError`, `TypeError`."""
        if not isinstance(given, list) or len(given) != len(cls._fields):
            raise TypeError("spent")
        one = cls(*given)
        texts = all(type(each) is str and len(each) <= 128 for each in (one.of, one.name, one.unit, one.per, one.plane))
        counts = all(type(each) is int and 0 <= each <= LARGEST for each in (one.since, one.used))
        if not texts or not counts or one.of not in OF or one.unit not in UNITS or one.per not in PERIODS:
            raise ValueError("spent")
        return one
