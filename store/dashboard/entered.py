"""Several secrets of one form: in rows, and as the text of a `.env` file, pasted or uploaded."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from store.dashboard.guard import Form
from store.errors import Invalid, Problem
from store.importing import ImportFault, read
from store.model import SecretValue
from store.records import NewEntry

ROWS: Final = 5
"""Rows of a form, more where there are more secrets already."""

MOST_ROWS: Final = 40

FIELDS: Final = tuple(f"{name}_{row}" for row in range(1, MOST_ROWS + 1) for name in ("name", "hosts"))
"""Fields of rows that a refused form shows again; its values it does not."""

_TEXTS: Final[Mapping[str, str]] = {"env": "pasted", "env_file": "file"}


class Entered:
    """The secrets of a form, and where in it each of them stands. Raises `Invalid` with all that cannot be read."""

    def __init__(self, form: Form, common: Mapping[str, object] | None = None, *, least: int = 0) -> None:
        """Read them, `least` at least; `common` is what is said of all those that stand in a `.env` text."""
        self.places: list[str] = []
        self.secrets: list[NewEntry] = []
        problems: list[Problem] = []
        for row in range(1, MOST_ROWS + 1):
            self._row(form, row)
        for field, where in _TEXTS.items():
            problems += self._text(form, field, where, common or {})
        if not problems and len(self.secrets) < least:
            problems.append(
                Problem("/.env", "value_required", "Paste KEY=value lines, or choose a file that has some.")
            )
        if problems:
            raise Invalid(*problems)

    def _row(self, form: Form, row: int) -> None:
        name, value, hosts = form.text(f"name_{row}"), form.value(f"value_{row}"), form.rules(f"hosts_{row}")
        if name or value or hosts:
            self.places.append(f"row {row}")
            self.secrets.append(NewEntry(name, SecretValue(value), hosts=hosts or None))

    def _text(self, form: Form, field: str, where: str, common: Mapping[str, object]) -> Iterator[Problem]:
        try:
            for item in read("dotenv", form.value(field).decode()):
                if item.value is not None:
                    self.places.append(f".env {where}, {item.name}")
                    self.secrets.append(NewEntry(item.name, SecretValue(item.value.encode()), **common))  # type: ignore[arg-type]
        except ImportFault as fault:  # a line of it names a line of the file, and nothing in it
            yield from (Problem(f"/.env {where}", "invalid", each) for each in str(fault).splitlines())

    def told(self, error: Invalid) -> Invalid:
        """Return an error with the places of the form in place of those of the upload."""
        return Invalid(*(Problem(f"/{self._place(each.pointer)}", each.code, each.detail) for each in error.problems))

    def _place(self, pointer: str) -> str:
        _, *parts = pointer.split("/")
        if len(parts) > 1 and parts[0] == "secrets" and parts[1].isdigit() and int(parts[1]) < len(self.places):
            return ", ".join([self.places[int(parts[1])], *parts[2:]])
        return "/".join(parts)


def rows_for(names: Sequence[str]) -> int:
    """Return how many rows a form has in which these secrets are entered anew."""
    return min(max(ROWS, len(names) + 1), MOST_ROWS)
