"""The registry of operations: one entry is at once a route, a validator and an operation of the OpenAPI document.

    OPERATIONS: list[Operation] = []
    route = registrar(OPERATIONS, "keys")

    @route("POST", "/keys/", body=KeyIn, answer=KeyMade, status=201, once=True)
    async def create_key(call: Call) -> Reply: "Make an API key. …"

The handler's name is the operationId, its docstring the description. Because the same entry validates and documents,
the two cannot differ.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from store.api.call import Call


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler returns: an answer model (None: no body), and headers such as ETag."""

    body: BaseModel | None = None
    raw: bytes | None = None
    """In place of `body`, where the answer is no JSON."""
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
    empty: bool = True
    """A request without a body is one with `{}`; not where the model asks for one of several fields."""
    upload: bool = False
    """The body is a file; the handler reads it itself."""
    media: str = "application/json"
    """Content type of the answer, where it is no model."""
    creates: bool = False
    """PUT that answers 201 when the object was not there."""
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
    def needs_body(self) -> bool:
        """Whether a request without a body breaks the model."""
        if self.body is None:
            return False
        return not self.empty or any(each.is_required() for each in self.body.model_fields.values())

    @property
    def parameters(self) -> list[str]:
        """Names of the path parameters, in order."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


def registrar(operations: list[Operation], tag: str) -> Callable[..., Callable[[Handler], Handler]]:
    """Return a decorator that adds operations of a tag to the list."""

    def add(method: str, path: str, **options: Any) -> Callable[[Handler], Handler]:  # noqa: ANN401
        def enter(handler: Handler) -> Handler:
            operations.append(Operation(method, path, handler, tag, **options))
            return handler

        return enter

    return add
