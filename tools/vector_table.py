"""Print the tables of the vectors; `--write` puts them into their pages, `--check` compares.

All vectors by surface and spelling are in docs/vectors.md; what becomes of each form of a value in docs/scrubbing.md.
"""

import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BEGIN, END = "<!-- table: python tools/vector_table.py --write -->\n", "<!-- end of table -->\n"
PLACES = {"raw": "body", "header": "header", "message": "message"}
sys.path.insert(0, str(ROOT / "tests" / "support"))

import vectors  # noqa: E402


def table() -> str:
    """Return surface, spelling and outcome, with counts."""
    loaded = vectors.load()
    counts = Counter((v.surface, v.spelling) for v in loaded)
    cells = Counter((v.surface, v.spelling, v.expect) for v in loaded)
    totals = Counter(v.expect for v in loaded)
    used = [outcome for outcome in vectors.OUTCOMES if totals[outcome]]
    rows = [
        f"| surface | spelling or form | {' | '.join(used)} | all |",
        f"|---|---|{'---:|' * (len(used) + 1)}",
    ]
    for surface, spelling in sorted(counts, key=lambda key: (vectors.SURFACES.index(key[0]), key[1])):
        numbers = [str(cells[surface, spelling, outcome] or "") for outcome in used]
        rows.append(f"| {surface} | {spelling} | {' | '.join(numbers)} | {counts[surface, spelling]} |")
    rows.append(f"| **all** | | {' | '.join(f'**{totals[outcome]}**' for outcome in used)} | **{len(loaded)}** |")
    return "\n".join(rows) + "\n"


def forms() -> str:
    """Return each form of a value, and what becomes of it in each part of an answer."""
    found: dict[str, dict[str, str]] = {}
    for vector in vectors.load():
        if vector.why and vector.spelling.startswith("forms,"):
            found.setdefault(vector.why, {})[PLACES[vector.surface]] = vector.expect
    rows = [f"| form | {' | '.join(PLACES.values())} |", f"|---|{'---|' * len(PLACES)}"]
    rows += [
        f"| {name} | {' | '.join(cells.get(place, '-') for place in PLACES.values())} |"
        for name, cells in found.items()
    ]
    return "\n".join(rows) + "\n"


PAGES = {DOCS / "vectors.md": table, DOCS / "scrubbing.md": forms}


def page(path: Path) -> str:
    """Return a page with the table of now in it."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + PAGES[path]() + "\n" + END + after


def main() -> None:
    """Do what the option says."""
    if "--write" in sys.argv:
        for path in PAGES:
            path.write_text(page(path))
    elif "--check" in sys.argv:
        stale = [path.name for path in PAGES if path.read_text() != page(path)]
        if stale:
            sys.exit(f"{', '.join(stale)}: not current: python tools/vector_table.py --write")
    else:
        print(table(), forms(), sep="\n", end="")


if __name__ == "__main__":
    main()
