"""Who imports whom, read from the sources: imports inside functions and under TYPE_CHECKING count like any other."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path


@cache
def modules(root: Path, package: str) -> dict[str, Path]:
    """Every module of a package, by its dotted name."""
    found = {}
    for path in (root / package).rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Every import of a source as (module, name): `from a import b` is ("a", "a.b"), `import a` is ("a", "a")."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((each.name, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from ((node.module, f"{node.module}.{each.name}") for each in node.names)


def graph(root: Path, packages: Iterable[str]) -> dict[str, set[str]]:
    """Each module with the modules of these packages that it imports itself; a package that holds one is not meant."""
    known = {name: path for package in packages for name, path in modules(root, package).items()}
    return {
        module: {name if name in known else source for source, name in imported(path)} & known.keys() - {module}
        for module, path in known.items()
    }


def circles(edges: Mapping[str, set[str]]) -> list[frozenset[str]]:
    """Every knot of modules that import each other: strongly connected, and more than one."""
    reached = {module: _reach(edges, module) for module in edges}
    knots = {frozenset({one, *(other for other in reached[one] if one in reached[other])}) for one in edges}
    return [knot for knot in knots if len(knot) > 1]


def _reach(edges: Mapping[str, set[str]], start: str) -> set[str]:
    found, todo = set(), [start]
    while todo:
        for other in edges[todo.pop()] - found:
            found.add(other)
            todo.append(other)
    return found
