"""Counting: who is over a limit of its own takes nothing from those that share another."""

from dataclasses import replace

import pytest

from proxy.admission.budget import Budgets
from proxy.core.limits import Limits
from proxy.core.refusal import Refused
from store.model import Caller, Scope

OWN = {
    "max_requests": ({}, 2),
    "session_rate": ({"session_rate": 2}, None),
    "in flight": ({"requests_in_flight": 2}, None),
}


@pytest.mark.parametrize("own", OWN)
def test_who_is_refused_spends_nothing_of_the_dataset(tmp_path, monkeypatch, own):
    """A session's own limits are looked at first, and a refused request is counted nowhere."""
    monkeypatch.setattr("time.time", lambda: 6e8)  # no minute ends meanwhile
    limits, most = OWN[own]
    budgets = Budgets(tmp_path, replace(Limits(), dataset_rate=4, **limits))
    greedy = Caller("greedy", Scope("o", "p", "d"), "prod", 4e9, max_requests=most)
    modest = Caller("modest", Scope("o", "p", "d"), "prod", 4e9)
    refused = 0
    for _ in range(50):
        try:
            budgets.begin(greedy)
        except Refused:
            refused += 1
    assert refused == 48
    for _ in range(2):
        budgets.begin(modest)
    with pytest.raises(Refused):
        budgets.begin(replace(modest, session="another"))
