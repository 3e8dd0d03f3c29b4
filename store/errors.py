"""Errors of the control plane: one class per reaction.

`store.api` maps each class to one status; nothing else decides statuses. A message is public text: it names the remedy
and never holds input, a value or an exception's text. The private cause hangs on `__cause__`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in an input: where (`pointer`, RFC 6901), which (`code`), and what to do (`detail`). Never input."""

    pointer: str
    code: str
    detail: str


class StoreError(Exception):
    """Base of all; `code` is what the wire shows."""

    code = "internal"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code


class Invalid(StoreError):
    """The input breaks a rule; nothing was stored. → 422 with `errors`."""

    code = "invalid"

    def __init__(self, *problems: Problem) -> None:
        super().__init__("The request breaks a rule; see errors.")
        self.problems = problems


class NotAuthenticated(StoreError):
    """No key, or one that is unknown, expired or revoked (not said which). → 401."""

    code = "not_authenticated"


class Forbidden(StoreError):
    """The principal may see the object but not do this. → 403."""

    code = "forbidden"


class NotFound(StoreError):
    """It is not there, or the principal may not know that it is. → 404."""

    code = "not_found"


class Conflict(StoreError):
    """It exists already, or its state forbids this. → 409."""

    code = "conflict"


class PreconditionFailed(StoreError):
    """If-Match or If-None-Match did not hold. → 412."""

    code = "precondition_failed"


class Unavailable(StoreError):
    """The database, its disk or its audit cannot take this now; nothing was stored. → 503."""

    code = "store_unavailable"


class Damaged(Unavailable):
    """What a plane keeps beside the database is not what it wrote; a start stops with this sentence."""


class KeyMismatch(StoreError):
    """Keys and store do not belong together; the start stops with this sentence."""

    code = "key_mismatch"


class Tampered(StoreError):
    """A row, envelope or manifest does not verify; the data plane refuses it and raises an alarm."""

    code = "tampered"


class NodeLost(Tampered):
    """A node of the hash tree does not verify: nobody knows what is below it."""
