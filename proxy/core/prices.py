"""What tokens cost: a table by host and model, in whole micro-dollars (millionths of a US dollar). Pure.

A price is what a million tokens cost, so one of 2.50 dollars is 2,500,000 micro-dollars for a million tokens. An
answer's cost is rounded up, once, to the next micro-dollar. A model that the table does not name costs what it says of
`unknown`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from proxy.core.usage import Tokens

MILLION: Final = 1_000_000
DEAREST: Final = 1_000_000
"""Dollars for a million tokens: no price is above it."""
_PARTS: Final = ("input", "cached", "written", "kept", "output")
_DATED: Final = re.compile(r"(?:-[0-9]{4}-[0-9]{2}-[0-9]{2}|-[0-9]{8})$")
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


class BadPrices(ValueError):
    """The table cannot be used; the message names the member, never what it holds."""


class Rates(NamedTuple):
    """Micro-dollars for a million tokens of each kind."""

    input: int
    cached: int
    written: int
    kept: int
    output: int

    def of(self, tokens: Tokens) -> int:
        """Return what tokens cost, in micro-dollars."""
        return -(-sum(count * rate for count, rate in zip(tokens, self, strict=True)) // MILLION)


class Price(NamedTuple):
    """A model's rates; where more than `above` tokens are sent, the whole request costs by `more`."""

    rates: Rates
    above: int = 0
    more: Rates | None = None

    def of(self, tokens: Tokens) -> int:
        """Return what tokens cost, in micro-dollars."""
        rates = self.rates if self.more is None or tokens.sent <= self.above else self.more
        return rates.of(tokens)


NOBODYS: Final = Price(Rates(*[DEAREST * MILLION] * 5))
"""What anything costs where there is no table."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The table. Hosts are exact names, or `*.name`."""

    unknown: Price = NOBODYS
    models: Mapping[str, Mapping[str, Price]] = field(default_factory=dict)
    """By host, and by model without the date at the end of its name."""

    def cost(self, host: str, models: Iterable[str], tokens: Tokens) -> tuple[int, bool]:
        """Return what an answer costs in micro-dollars, and whether all its models have prices.

        Of several that it names the dearest counts: what a model was made to write into it makes it no cheaper.
        """
        if not any(tokens):
            return 0, True
        table = self._table(host)
        found = [table.get(_DATED.sub("", name.lower().removeprefix("models/"))) for name in models] or [None]
        return max((price or self.unknown).of(tokens) for price in found), None not in found

    def _table(self, host: str) -> Mapping[str, Price]:
        while host not in self.models:
            above = host.removeprefix("*.").partition(".")[2]
            if not above:
                return {}
            host = f"*.{above}"
        return self.models[host]


def parse_prices(document: object) -> Prices:
    """Read a table as `config/prices.yaml` has it; raises `BadPrices`."""
    top = _mapping(document, "the file", ("currency", "unknown", "providers"))
    if top.get("currency") != "USD":
        raise BadPrices("currency: must be USD, in which budgets are")
    if "unknown" not in top:
        raise BadPrices("unknown: must say what models cost that the file does not name")
    providers = _mapping(top.get("providers") or {}, "providers")
    models: dict[str, dict[str, Price]] = {}
    for name, provider in providers.items():
        for host, table in _provider(provider, f"providers.{name}"):
            if host in models:
                raise BadPrices(f"providers.{name}.hosts: a host is named twice")
            models[host] = table
    return Prices(_price(top["unknown"], "unknown"), models)


def _provider(given: object, where: str) -> Iterator[tuple[str, dict[str, Price]]]:
    provider = _mapping(given, where, ("hosts", "source", "read", "models"))
    table = {}
    for name, price in _mapping(provider.get("models"), f"{where}.models").items():
        if _DATED.search(name) or name != name.lower():
            raise BadPrices(f"{where}.models: names are in small letters, without the date at their end")
        table[name] = _price(price, f"{where}.models.{name}")
    hosts = provider.get("hosts")
    if not isinstance(hosts, list) or not hosts:
        raise BadPrices(f"{where}.hosts: must be a list of host names")
    for host in hosts:
        if not isinstance(host, str) or _HOST.fullmatch(host) is None:
            raise BadPrices(f"{where}.hosts: must be names such as api.example.com or *.example.com")
        yield host, table


def _price(given: object, where: str) -> Price:
    members = _mapping(given, where, (*_PARTS, "above"))
    rates = _rates(members, where)
    if "above" not in members:
        return Price(rates)
    above = _mapping(members["above"], f"{where}.above", (*_PARTS, "tokens"))
    tokens = above.get("tokens")
    if type(tokens) is not int or tokens < 0:
        raise BadPrices(f"{where}.above.tokens: must be a whole number")
    return Price(rates, tokens, _rates(above, f"{where}.above"))


def _rates(members: Mapping[str, Any], where: str) -> Rates:
    if not {"input", "output"} <= members.keys():
        raise BadPrices(f"{where}: must have input and output")
    return Rates(*(_amount(members.get(name, members["input"]), f"{where}.{name}") for name in _PARTS))


def _amount(given: object, where: str) -> int:
    """Return dollars as micro-dollars, exactly."""
    fault = f"{where}: must be dollars for a million tokens, from 0 to {DEAREST:,}, with six decimals at most"
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise BadPrices(fault)
    try:
        amount = Decimal(str(given)) * MILLION
        if not 0 <= amount <= DEAREST * MILLION or amount != int(amount):
            raise BadPrices(fault)
    except (InvalidOperation, ValueError, OverflowError):
        raise BadPrices(fault) from None
    return int(amount)


def _mapping(given: object, where: str, known: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return a mapping of words, with no others than the known ones where there are such."""
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise BadPrices(f"{where}: must be a mapping")
    if known and (strange := given.keys() - set(known)):
        raise BadPrices(f"{where}: has {len(strange)} unknown keys; allowed: {', '.join(known)}")
    return given
