"""Print the table of docs/vectors.md from tests/vectors/*.yaml; `--write` puts it into the page, `--check` compares."""

import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "vectors.md"
BEGIN, END = "<!-- table: python tools/vector_table.py --write -->\n", "<!-- end of table -->\n"
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


def page() -> str:
    """Return the page with the table of now in it."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + table() + "\n" + END + after


def main() -> None:
    """Do what the option says."""
    if "--write" in sys.argv:
        PAGE.write_text(page())
    elif "--check" in sys.argv:
        if PAGE.read_text() != page():
            sys.exit("docs/vectors.md is not current: python tools/vector_table.py --write")
    else:
        print(table(), end="")


if __name__ == "__main__":
    main()
