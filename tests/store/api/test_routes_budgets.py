import pytest

HARD = {"of": "dataset", "unit": "requests", "per": "day", "hard": 10}
EACH = {"of": "secret", "unit": "bytes", "per": "ever", "soft": 5}


@pytest.fixture
def path(shared):
    return f"/projects/default/datasets/{shared.dataset({'name': 'A', 'value': 'canary-9f3Kq7Zp2Wx8'})['id']}/budgets/"


def test_budgets_are_set_as_a_whole(shared, path):
    """What is set is listed, with what was drawn; a new upload leaves them as they are."""
    assert shared("GET", path).json == {"items": [], "next": None}
    set_ = shared("PUT", path, {"items": [HARD, EACH]})
    first, second = set_.json["items"]
    assert first["counts"] == [{"name": None, "used": 0, "state": "fine"}]
    assert first | HARD == first
    assert "T00:00:00" in first["resets_at"]
    assert (second["counts"], second["resets_at"], second["name"]) == ([], None, None)
    assert shared("PUT", path.removesuffix("budgets/"), {"name": "anew", "secrets": []}).status == 200
    assert shared("GET", path).json == set_.json


def test_who_changed_it_meanwhile_is_not_overwritten(shared, path):
    etag = shared("GET", path).headers["ETag"]
    assert shared("PUT", path, {"items": [HARD]}, headers={"If-Match": etag}).status == 200
    assert shared("PUT", path, {"items": []}, headers={"If-Match": etag}).status == 412


@pytest.mark.parametrize(
    ("budget", "pointer"),
    [
        ({**HARD, "name": "A"}, "/items/0/?"),
        ({**HARD, "of": "everything"}, "/items/0"),
        ({**EACH, "name": "lower case"}, "/items/0/name"),
        ({**EACH, "name": ""}, "/items/0/name"),
        ({**EACH, "of": "consumer", "name": "../x"}, "/items/0/name"),
        ({**HARD, "hard": -1}, "/items/0/hard"),
        ({**HARD, "unit": "money"}, "/items/0/unit"),
    ],
)
def test_what_is_no_budget_is_told_where(shared, path, budget, pointer):
    answer = shared("PUT", path, {"items": [budget]})
    assert answer.status == 422
    assert pointer in [each["pointer"] for each in answer.json["errors"]]


def test_one_of_a_kind(shared, path):
    answer = shared("PUT", path, {"items": [HARD, {**HARD, "hard": 11}]})
    assert [each["code"] for each in answer.json["errors"]] == ["budget_duplicate"]
