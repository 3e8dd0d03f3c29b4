"""Random material for tests, the same in every run: what fails once fails again.

`EGRET_TEST_SEED=word make test` draws other material; fuzzing (`python -m benchmarks fuzz`) draws it without end.
"""

import base64
import os
import random
import string

SEED = os.environ.get("EGRET_TEST_SEED", "egret")
LETTERS = string.ascii_letters + string.digits


class Draw(random.Random):
    """A source of its own for each name, so that no order of tests changes what they draw."""

    def __init__(self, name: object) -> None:
        """Begin what is drawn for a name."""
        super().__init__(f"{SEED}: {name}")

    def letters(self, length: int, alphabet: str = LETTERS) -> str:
        """Return letters, digits too unless an alphabet is given."""
        return "".join(self.choices(alphabet, k=length))

    def hex(self, count: int) -> str:
        """Return bytes in hexadecimal digits, as `secrets.token_hex` does."""
        return self.randbytes(count).hex()

    def base64(self, count: int) -> str:
        """Return bytes in base64 for URLs, as `secrets.token_urlsafe` does."""
        return base64.urlsafe_b64encode(self.randbytes(count)).rstrip(b"=").decode()
