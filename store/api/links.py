"""OpenAPI links: which operations can be called with what an answer holds. Made from the paths, like the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

from store.api.operation import Operation

MADE: Mapping[str, Mapping[str, str]] = {
    "create_project": {"project": "$response.body#/id"},
    "create_dataset": {"project": "$request.path.project", "dataset": "$response.body#/id"},
    "open_session": {
        "project": "$request.path.project",
        "dataset": "$request.path.dataset",
        "session": "$response.body#/id",
    },
    "create_key": {"key": "$response.body#/id"},
    "rotate_key": {"key": "$response.body#/id"},
}
"""What an operation's answer makes known, by path parameter."""

_VERSION = "$response.body#/version"


def known(operation: Operation) -> dict[str, str]:
    """Return the path parameters that an operation's answer gives."""
    if operation.handler.__name__ in {"put_secret", "put_variable"}:
        given = {name: f"$request.path.{name}" for name in operation.parameters}
        return {**given, "version": _VERSION}
    return dict(MADE.get(operation.handler.__name__, {}))


def links(operation: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the links of an operation: to those that need the id that it made, and no more than it knows."""
    given = known(operation)
    fresh = {"name"} if "name" in given else {name for name, place in given.items() if place.startswith("$response")}
    return {
        each.name: {"operationId": each.name, "parameters": {name: given[name] for name in each.parameters}}
        for each in operations
        if fresh & set(each.parameters) and set(each.parameters) <= set(given) and _near(operation, each)
    }


def _near(operation: Operation, other: Operation) -> bool:
    """Keep secrets with secrets and one level with its own: names mean nothing elsewhere."""
    if not operation.suffix:
        return True
    return operation.suffix == other.suffix and operation.tag == other.tag
