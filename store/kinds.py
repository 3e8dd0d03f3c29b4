"""What is done with a secret's value: written as it is, or signed with. `kind` in the API, with its `parameters`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

STATIC: Final = "static"
"""Of a value that is written as it is."""
AWS: Final = "aws"
"""Of a key that requests are signed with."""
KINDS: Final = (STATIC, AWS)


@dataclass(frozen=True, slots=True)
class Credential:
    """What is done with a secret's value: `kind` and `parameters` in the API, checked (`store.credential`).

    Both are sealed with the value: nobody who can edit a row makes a text that is written of a key that signs. (`Kind`
    is another thing: whether a name is a secret's or a variable's.)
    """

    kind: str = STATIC
    parameters: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def written(self) -> bool:
        """Whether the value itself goes where the placeholder stands."""
        return self.kind == STATIC

    def fields(self) -> dict[str, object]:
        """Return it as it stands in a version's line; a static one, which all were once, is not told."""
        return {} if self.written else {"credential": {"kind": self.kind, "parameters": dict(self.parameters)}}

    def info(self) -> tuple[bytes, ...]:
        """Return what an envelope is bound to besides what every envelope is; nothing for a static one."""
        return (
            ()
            if self.written
            else (self.kind.encode(), json.dumps(dict(self.parameters), sort_keys=True, separators=(",", ":")).encode())
        )

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read it back from a version's line; raises `ValueError` for a kind that this release does not know."""
        found = fields.get("credential")
        if found is None:
            return cls()
        if found["kind"] not in KINDS:
            raise ValueError("kind")
        return cls(found["kind"], {name: [*map(str, said)] for name, said in found["parameters"].items()})


WRITTEN: Final = Credential()
"""What most secrets are."""
