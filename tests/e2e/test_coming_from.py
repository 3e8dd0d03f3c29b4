"""docs/coming-from: every block of every page is run, in order, in one shell, against a running Egret."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "coming-from").glob("*.md"))
VALUE = "sk-coming-8Vq2Rb6Tk"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN = {"sh", "python", "js", "yaml"}


def script_of(text: str) -> str:
    """The page as one shell script. A block that begins with a comment that is a file's name is that file."""
    lines = ["set -euo pipefail"]
    for number, (kind, block) in enumerate(BLOCK.findall(text)):
        named = re.match(r"(?:#|//) ([\w.]+\.\w+)\n", block)
        if kind == "sh":
            lines.append(block)
        elif kind in RUN:
            command = f"cat > {named[1]}" if named else "python -"
            lines.append(f"{command} <<'END_{number}'\n{block}END_{number}")
    return "\n".join(lines)


def expected(text: str) -> list[str]:
    return [line for kind, block in BLOCK.findall(text) if kind in RUN for line in re.findall(r"(?m)^# → (.*)$", block)]


@pytest.mark.timeout(300)
@pytest.mark.needs("curl")
@pytest.mark.needs("node")
@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "README"], ids=lambda page: page.stem)
def test_every_block_runs(egret, page, tmp_path):
    """It ends well, prints what its comments say, in order, and no value; the API has the value and no placeholder."""
    egret.upstream.forget()
    script = script_of(page.read_text()).replace("api.example.com", egret.upstream.origin)
    bare = {name: value for name, value in egret.environ.items() if not name.upper().endswith("_PROXY")}
    environ = bare | {
        "PATH": f"{Path(sys.executable).parent}:{bare['PATH']}",
        "EGRET_URL": egret.urls["admin"],
        "EGRET_API_KEY": egret.key,
        "EGRET_CA": str(egret.ca),
        "API_TOKEN": VALUE,
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environ, text=True, capture_output=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert VALUE not in done.stdout + done.stderr
    rest = done.stdout
    for line in expected(page.read_text()):
        assert line in rest, (line, done.stdout, done.stderr)
        rest = rest.split(line, 1)[1]
    received = egret.upstream.received
    assert VALUE.encode() in received
    assert b"SECRETS" not in received


def test_every_system_has_its_page():
    """Five systems, each with their example and ours, and a row in the list."""
    text = (PAGES[0].parent / "README.md").read_text()
    names = set(re.findall(r"\]\((\w+)\.md\)", text))
    assert (
        names
        == {page.stem for page in PAGES} - {"README"}
        == {"mabyduck", "dataloop", "datature", "fiftyone", "datatailr"}
    )
    for page in PAGES:
        blocks = [kind for kind, _ in BLOCK.findall(page.read_text())]
        assert page.stem == "README" or {"sh", "text"} <= set(blocks) or page.stem == "datature"
        assert set(blocks) <= RUN | {"text"}


TESTS = Path(__file__).parents[1]
LEAST = {"mabyduck": 18, "dataloop": 20, "datature": 12, "fiftyone": 14, "datatailr": 15}
"""Rows of each page: what its system's documentation states."""


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "README"], ids=lambda page: page.stem)
def test_every_sentence_has_a_row_and_a_test(page):
    """Each statement is the same here, or different because of something; none is missing, and each is tried by a test that is there."""
    text = page.read_text().split("## Sentence by sentence", 1)[1]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= LEAST[page.stem] and len({row[0] for row in rows}) == len(rows)
    for row in rows:
        assert len(row) == 3 and row[0], row
        assert re.match(r"same\b|different because \w", row[1]), row
        named = re.fullmatch(r"`([\w/]+\.py)::(\w+)`", row[2])
        assert row[2] == "this page" or named is not None, row
        if named is not None:
            source = (TESTS / named[1]).read_text()
            assert re.search(rf"(?m)^(async )?def {named[2]}\(", source), row
