"""What a short text alone decides, such as a header's name, is decided once for each text, and looked up after that."""

from collections.abc import Callable
from typing import Final

LONGEST: Final = 64
"""Characters or bytes. The client chooses these texts: a longer one is decided each time, and takes no memory."""
MOST: Final = 2048


class Verdicts[Text: (bytes, str), Verdict](dict[Text, Verdict]):
    """`verdicts[text]` is what `decide(text)` returns. Bounded in number and size, whoever asks."""

    def __init__(self, decide: Callable[[Text], Verdict]) -> None:
        super().__init__()
        self._decide: Callable[[Text], Verdict] = decide

    def __missing__(self, text: Text) -> Verdict:
        verdict = self._decide(text)
        if len(text) <= LONGEST:
            if len(self) >= MOST:
                self.clear()
            self[text] = verdict
        return verdict
