"""What tokens cost: exactly, never less than the dearest that an answer names, and what no table names."""

from pathlib import Path

import pytest
import yaml

from proxy.core.prices import MILLION, BadPrices, Price, Prices, parse_prices
from proxy.core.usage import Tokens

OURS = Path(__file__).parents[3] / "config" / "prices.yaml"
TABLE = {
    "currency": "USD",
    "unknown": {"input": 100, "output": 200},
    "providers": {
        "one": {
            "hosts": ["api.one.test", "*.one.test"],
            "models": {
                "big": {"input": 10, "cached": 1, "written": 12.5, "kept": 20, "output": 50},
                "small": {"input": "0.15", "output": 0.6, "above": {"tokens": 1000, "input": 1, "output": 2}},
                "free": {"input": 0, "output": 0},
            },
        }
    },
}


def cost(host, models, **tokens):
    return parse_prices(TABLE).cost(host, models, Tokens(**tokens))


@pytest.mark.parametrize(
    ("models", "tokens", "expected"),
    [
        (["big"], {"fresh": 1000, "cached": 1000, "written": 1000, "kept": 1000, "output": 1000}, 93_500),
        (["Big-2026-01-31"], {"output": 1}, 50),
        (["big-20260131"], {"output": 1}, 50),
        (["models/big"], {"output": 1}, 50),
        (["small"], {"fresh": 1}, 1),
        (["small"], {"fresh": 7, "output": 1}, 2),
        (["small"], {"cached": 1000, "written": 0}, 150),
        (["small"], {"cached": 1001, "output": 100}, 1201),
        (["small", "big", "free"], {"output": 100}, 5000),
        (["free"], {"output": 10**9}, 0),
    ],
)
def test_what_is_priced(models, tokens, expected):
    """Rounded up to the micro-dollar once; of several models the dearest; dates and prefixes are no part of a name."""
    assert cost("api.one.test", models, **tokens) == (expected, True)


@pytest.mark.parametrize("host", ["api.one.test", "eu.one.test", "a.b.one.test"])
def test_hosts(host):
    assert cost(host, ["big"], output=1) == (50, True)


@pytest.mark.parametrize(
    ("host", "models"),
    [
        ("api.one.test", []),
        ("api.one.test", ["bigger"]),
        ("api.one.test", ["big-mini"]),
        ("api.one.test", ["free", "", "small"]),
        ("one.test", ["big"]),
        ("api.one.test.evil.test", ["free"]),
        ("127.0.0.1", ["free"]),
    ],
)
def test_what_nobody_has_priced_costs_what_unknown_does(host, models):
    """And it is said so; no name that is nearly one of the table is taken for it."""
    assert cost(host, models, fresh=10, output=10) == (3000, False)


def test_nothing_costs_nothing():
    """An answer that tells of no tokens is not one of a model: it is not said to be without a price."""
    assert cost("elsewhere.test", []) == (0, True)
    assert Prices().cost("x", [], Tokens(output=1))[0] == MILLION


def change(path, value):
    """The table with one member changed."""
    table = yaml.safe_load(yaml.safe_dump(TABLE))
    *way, last = path
    place = table
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return table


BIG = ("providers", "one", "models", "big")
CANARY = "canary-7Gq2"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("currency",), CANARY, "currency: must be USD"),
        (("unknown",), None, "unknown: must say"),
        ((CANARY,), 1, "unknown keys; allowed: currency"),
        (("providers",), [CANARY], "providers: must be a mapping"),
        (("providers", "one", "hosts"), [], "one.hosts: must be a list"),
        (("providers", "one", "hosts"), [f"https://{CANARY}/"], "one.hosts: must be names"),
        (("providers", "one", "hosts"), ["api.one.test"] * 2, "named twice"),
        (("providers", "one", "models"), None, "one.models: must be a mapping"),
        (("providers", "one", "models", "Big"), {"input": 1, "output": 1}, "small letters"),
        (("providers", "one", "models", "big-2026-01-31"), {"input": 1, "output": 1}, "without the date"),
        ((*BIG, "output"), None, "big: must have input and output"),
        ((*BIG, "output"), CANARY, "big.output: must be dollars"),
        ((*BIG, "output"), -1, "big.output: must be dollars"),
        ((*BIG, "output"), True, "big.output: must be dollars"),
        ((*BIG, "output"), "0.0000001", "big.output: must be dollars"),
        ((*BIG, "output"), "NaN", "big.output: must be dollars"),
        ((*BIG, "output"), float("inf"), "big.output: must be dollars"),
        ((*BIG, "output"), 10**30, "big.output: must be dollars"),
        ((*BIG, "outptu"), 3, "big: has 1 unknown keys; allowed: input"),
        ((*BIG, "above"), {"input": 1, "output": 1}, "big.above.tokens: must be a whole number"),
        ((*BIG, "above"), {"tokens": 5, "input": 1}, "big.above: must have input and output"),
    ],
)
def test_a_table_with_a_fault_is_none(path, value, says):
    """The member is named; what it holds is not repeated."""
    with pytest.raises(BadPrices) as caught:
        parse_prices(change(path, value))
    assert says in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "text", 4])
def test_what_is_no_table(document):
    with pytest.raises(BadPrices, match="the file: must be a mapping"):
        parse_prices(document)


def flat(price: Price):
    yield price.rates
    if price.more is not None:
        yield price.more


def test_our_own_table():
    """Each provider says where from and when, and nothing in it is dearer than what is unknown."""
    document = yaml.safe_load(OURS.read_text())
    found = parse_prices(document)
    for provider in document["providers"].values():
        assert provider["source"].startswith("https://")
        assert provider["read"].isoformat() >= "2026-11-22"
    known = [each for table in found.models.values() for price in table.values() for each in flat(price)]
    assert len(known) > 50
    for price in known:
        assert all(mine <= dearest for mine, dearest in zip(price, found.unknown.rates, strict=True)), price
    for table in found.models.values():
        for name, price in table.items():
            assert price.rates.cached <= price.rates.input <= price.rates.output or name.startswith("text-embedding"), (
                name
            )
    assert found.cost("api.anthropic.com", ["claude-sonnet-4-5-20250929"], Tokens(fresh=MILLION)) == (6 * MILLION, True)
    assert found.cost("api.openai.com", ["gpt-5-mini-2025-08-07"], Tokens(output=MILLION)) == (2 * MILLION, True)
