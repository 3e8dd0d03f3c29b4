"""Reading the YAML file: plain mappings of sections and keys, each remembered with its line.

The tree of nodes is walked instead of loaded, because only nodes know their lines, and because a loaded mapping hides a
key that is given twice. Faults are collected, so that one start shows them all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

type Known = Mapping[str, Sequence[str]]
"""The keys that there are, by section."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as given, and where."""

    value: object
    where: str


def unknown(known: Known, section: str, key: str | None = None) -> str | None:
    """Say what is wrong with a section or key that does not exist; None when it does."""
    if section not in known:
        return f"unknown section {section}; allowed: " + ", ".join(known)
    if key is not None and key not in known[section]:
        return f"unknown key {section}.{key}; allowed: " + ", ".join(known[section])
    return None


def read(path: Path, known: Known, faults: list[str]) -> dict[tuple[str, str], Raw]:
    """Return every known key of the file; add a line to `faults` for whatever else is there."""
    root = _root(path, known, faults)
    found: dict[tuple[str, str], Raw] = {}
    for section, where, node in _pairs(root, path, faults):
        if fault := unknown(known, section):
            faults.append(f"{where}: {fault}")
        elif not _empty(node) and not isinstance(node, yaml.MappingNode):
            faults.append(f"{where}: {section}: must be a mapping of keys")
        else:
            found |= _section(section, known, _pairs(node, path, faults), faults)
    return found


def _section(
    section: str, known: Known, pairs: Iterator[tuple[str, str, yaml.Node]], faults: list[str]
) -> dict[tuple[str, str], Raw]:
    found: dict[tuple[str, str], Raw] = {}
    for key, where, value in pairs:
        if fault := unknown(known, section, key):
            faults.append(f"{where}: {fault}")
            continue
        try:
            found[section, key] = Raw(_Constructor().construct_document(value), where)
        except yaml.YAMLError:  # a tag such as !!python/object
            faults.append(f"{where}: {section}.{key}: must be plain YAML without tags")
    return found


class _Constructor(yaml.constructor.SafeConstructor):
    """Plain values only: no tags that build objects."""


def _root(path: Path, known: Known, faults: list[str]) -> yaml.Node | None:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        faults.append(f"{path}: cannot be read: {error.strerror}")
        return None
    except UnicodeDecodeError:
        faults.append(f"{path}: must be UTF-8")
        return None
    try:
        root: yaml.Node | None = yaml.compose(text, yaml.SafeLoader)
    except RecursionError:
        faults.append(f"{path}: is nested too deeply")
        return None
    except yaml.YAMLError as error:  # its text quotes the file
        mark = getattr(error, "problem_mark", None)
        faults.append(f"{path}{f' line {mark.line + 1}' if mark else ''}: not valid YAML")
        return None
    if root is not None and not _empty(root) and not isinstance(root, yaml.MappingNode):
        faults.append(f"{path} line 1: must be a mapping of sections: " + ", ".join(known))
        return None
    return root


def _pairs(node: yaml.Node | None, path: Path, faults: list[str]) -> Iterator[tuple[str, str, yaml.Node]]:
    seen: set[str] = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        where = f"{path} line {key.start_mark.line + 1}"
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if not name or name in seen:
            faults.append(f"{where}: {name or 'a key'} is {'given twice' if name else 'not a word'}")
            continue
        seen.add(name)
        yield name, where, value


def _empty(node: yaml.Node | None) -> bool:
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null")
