"""The registry of operations: one entry is at once a route, a validator and an operation of the OpenAPI document.

    keys = Registry("keys")

    @keys.add("POST", "/keys/", body=KeyIn, answer=KeyMade, status=201, once=True)
    async def create_key(call: Call) -> Reply: "Make an API key. …"

The handler's name is the operationId, its docstring the description. Because the same entry validates and documents,
the two cannot differ.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from store.api.call import Call


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler returns: an answer model (None: no body), and headers such as ETag."""

    body: BaseModel | None = None
    etag: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


type Handler = Callable[["Call"], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path template."""

    method: str
    path: str
    handler: Handler
    tag: str
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    public: bool = False
    once: bool = False
    """POST that takes an Idempotency-Key."""
    tagged: bool = False
    """Takes If-Match and If-None-Match."""
    media: str = "application/json"
    """Content type of the answer, where it is no model."""
    suffix: str = ""
    """Tells apart the operations of one handler that serves several scopes."""

    @property
    def name(self) -> str:
        """The operationId."""
        return self.handler.__name__ + self.suffix

    @property
    def text(self) -> str:
        """What it does, for people."""
        return cleandoc(self.handler.__doc__ or "")

    @property
    def parameters(self) -> list[str]:
        """Names of the path parameters, in order."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


class Registry:
    """The operations of one module."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.operations: list[Operation] = []

    def add(self, method: str, path: str, **options: object) -> Callable[[Handler], Handler]:
        """Register the decorated handler."""

        def enter(handler: Handler) -> Handler:
            self.operations.append(Operation(method, path, handler, self.tag, **options))  # type: ignore[arg-type]
            return handler

        return enter
