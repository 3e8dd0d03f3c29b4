"""What is decided once: rightly, for each text, and within bounds that the client cannot move."""

import tracemalloc

import pytest

from proxy.core import verdicts
from proxy.core.verdicts import Verdicts


def test_verdict_is_asked_for_once():
    """The second time it is known."""
    asked = []
    lengths = Verdicts[bytes, int](lambda text: asked.append(text) or len(text))
    assert [lengths[b"a"], lengths[b"bc"], lengths[b"a"], lengths[b""]] == [1, 2, 1, 0]
    assert asked == [b"a", b"bc", b""]


def test_long_text_is_decided_each_time():
    """It gets its verdict, and takes no memory."""
    lengths = Verdicts[bytes, int](len)
    for size in (verdicts.LONGEST, verdicts.LONGEST + 1, 60_000):
        assert lengths[b"x" * size] == lengths[b"x" * size] == size
    assert list(map(len, lengths)) == [verdicts.LONGEST]


def test_number_of_verdicts_is_bounded():
    """Names without end, as an attacker sends them, take no more memory than some."""
    lengths = Verdicts[bytes, int](len)
    tracemalloc.start()
    for number in range(3 * verdicts.MOST + 5):
        assert lengths[b"x-%050d" % number] == 52
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(lengths) <= verdicts.MOST
    assert held < 1 << 20


def test_error_is_no_verdict():
    """What could not be decided is asked for again."""
    answers = iter([ValueError, 7])

    def decide(_):
        if (answer := next(answers)) is ValueError:
            raise ValueError
        return answer

    once = Verdicts[str, int](decide)
    with pytest.raises(ValueError, match=r"^$"):
        once["a"]
    assert once["a"] == 7
