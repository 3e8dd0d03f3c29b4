"""The documents are checked: pages made from the sources are current, links lead somewhere, nothing is left out."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from egret import __version__
from egret.cli.__main__ import COMMANDS
from egret.sections import sections
from proxy.core.codes import CODES
from store.api.app import VERSION

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"(?ms)^```.*?^```|^    .*?$|`[^`\n]*`", "", page.read_text())


def test_pages_made_from_the_sources_are_current():
    """docs/cli.md, docs/configuration.md, docs/errors.md and the example file say what the sources say."""
    done = subprocess.run([sys.executable, ROOT / "tools" / "docs", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_command_and_code_has_its_heading():
    """What can be set, typed or received can be looked up."""
    headings = {
        page: re.findall(r"(?m)^#+ (.*)$", (ROOT / "docs" / page).read_text())
        for page in ("configuration.md", "cli.md", "errors.md")
    }
    keys = [f"{name}.{key}" for name, cls in sections().items() for key in cls.__dataclass_fields__]
    assert [key for key in keys if key not in headings["configuration.md"]] == []
    assert [name for name in COMMANDS if f"egret {name}" not in headings["cli.md"]] == []
    assert [code for code in CODES if code not in headings["errors.md"]] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link names a file that is there, and a heading that is in it."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            broken.append(target)
        elif anchor and file.suffix == ".md":
            anchors = {slug(heading) for heading in re.findall(r"(?m)^#+ (.*)$", file.read_text())}
            if anchor not in anchors:
                broken.append(target)
    assert broken == []


def test_the_index_links_every_page():
    """docs/README.md itself has a link to each page of docs/, and the README has one to it."""
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)\s#]+)\)", prose(index))}
    pages = [page for page in PAGES if index.parent in page.parents and page != index]
    assert [str(page.relative_to(ROOT)) for page in pages if page not in linked] == []
    assert "(docs/README.md)" in prose(ROOT / "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_pages_exist(page):
    """Whatever a page tells people to type as `egret …` is a command, and `make …` a target."""
    text = page.read_text()
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
    typed = set(re.findall(r"(?m)(?:^    |`)(?:\.venv/bin/)?egret ([a-z-]+)", text))
    assert [name for name in typed if name not in COMMANDS] == []
    made = set(re.findall(r"(?m)(?:^    |`)make ([a-z-]+)", text))
    assert [name for name in made if name not in targets] == []


def test_changes_are_written_down():
    """What is not released comes first, and may be empty; then the version that we are, with its date and an entry."""
    text = (ROOT / "CHANGELOG.md").read_text()
    sections = re.findall(r"(?m)^## (.*)\n\n((?:### .*\n\n- )?)", text)
    assert sections[0][0] == "Unreleased"
    assert re.fullmatch(re.escape(__version__) + r" \(\d{4}-\d\d-\d\d\)", sections[1][0])
    assert sections[1][1]


def test_versions_agree():
    """The package, the client and the API say the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__ == VERSION


def test_the_threat_model_names_tests_that_exist():
    """Each row says by which test it is shown; that test is there."""
    rows = re.findall(r"(?m)^\| \d+ \|.*$", (ROOT / "THREAT_MODEL.md").read_text())
    assert len(rows) >= 17
    missing = []
    for row in rows:
        shown = re.findall(r"`((?:tests|requirements|pyproject)[^`]*)`", row)
        assert shown, row
        missing += [name for name in shown if not (ROOT / name).exists()]
    assert missing == []


def test_every_dependency_is_explained():
    """docs/dependencies.md has a reason for each distribution that pyproject.toml names, and the part it is of."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = declared["project"]
    parts = {
        "client": project["dependencies"],
        "server": project["optional-dependencies"]["server"],
        "engine": declared["dependency-groups"]["engine"],
    }
    table = text.split("## What runs", 1)[1].split("## Search", 1)[0]
    rows = re.findall(r"(?m)^\| ([\w, -]+) \| (\w+) \|", table)
    shown = {(name, part) for names, part in rows for name in names.split(", ")} - {("Distribution", "Part")}
    assert shown == {(re.match(r"[\w-]+", item)[0], part) for part, items in parts.items() for item in items}
