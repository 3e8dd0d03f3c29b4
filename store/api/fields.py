"""The kinds of fields and their place in the OpenAPI document.

Types are checked here; the rules of names, hosts, durations are the vault's, which answers with pointer and remedy.
A form stated here is what every client may rely on. Where the vault takes more (IDNA hosts, any printable script),
the form says the part that needs no second look.
"""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_plain_validator_function

from store.api.durations import UNITS, spans
from store.checks import DURATION


class Model(BaseModel):
    """Base of all inputs: strict types, no unknown fields, immutable, no input in errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


class Patch(Model, json_schema_extra={"minProperties": 1}):
    """Base of changes: at least one field."""

    @model_validator(mode="before")
    @classmethod
    def _something(cls, given: object) -> object:
        if given == {}:
            raise PydanticCustomError("egret_empty", "Name at least one field to change.")
        return given


class Out(BaseModel):
    """Base of all answers; made from what the vault returns by attribute."""

    model_config = ConfigDict(
        frozen=True,
        defer_build=True,
        from_attributes=True,
        hide_input_in_errors=True,
        json_schema_serialization_defaults_required=True,
    )


def shape(pattern: str, **schema: Any) -> WithJsonSchema:  # noqa: ANN401 - members of a JSON schema
    """Return the form that the OpenAPI document gives a text; the vault holds it to its rule."""
    return WithJsonSchema({"type": "string", "pattern": pattern, **schema})


def _time(seconds: object) -> object:
    return dt.datetime.fromtimestamp(round(seconds, 3), dt.UTC) if isinstance(seconds, int | float) else seconds


Time = Annotated[dt.datetime, BeforeValidator(_time)]
"""A moment in an answer: Unix seconds in the vault, RFC 3339 in UTC on the wire."""

Word = Annotated[str | None, BeforeValidator(lambda text: text or None)]
"""A text in an answer that the vault leaves empty where there is none: null on the wire."""

NAME = "^[A-Z][A-Z0-9_]{0,127}$"
ID = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_LETTERS = "\u00a1-\u00ac\u00ae-\u024f\u0400-\u045f"
_VISIBLE = f"[!-~{_LETTERS}]"
_LINE = f"[ -~{_LETTERS}]*"
_FILE = f"[!-.0-\\[\\]-~{_LETTERS}]"

Name = Annotated[str, shape(NAME)]
Id = Annotated[str, shape(ID)]
LABEL = f"^{_VISIBLE}{_LINE}$"
Label = Annotated[str, shape(LABEL, minLength=1, maxLength=64)]
Note = Annotated[str, shape(f"^{_LINE}$", maxLength=128)]
Prose = Annotated[str, shape(f"^{_LINE}$", maxLength=1024)]
Environment = Annotated[str, Field(pattern="^([a-z0-9][a-z0-9_-]{0,31})?$")]
Duration = Annotated[str, Field(min_length=1), shape(f"^({DURATION})$", examples=["90d"])]
Origin = Annotated[str, shape("^(null|https?://[a-z][a-z0-9]{0,30}(\\.[a-z][a-z0-9]{0,30}){0,3}(:[1-9][0-9]{0,3})?)$")]
NETWORK = "^(10|172|192)\\.([1-9]?[0-9])\\.([1-9]?[0-9])\\.([1-9]?[0-9])(/(8|16|24|32))?$"
Sources = Annotated[list[Annotated[str, shape(NETWORK)]], Field(max_length=64)]
Filename = Annotated[
    str,
    Field(pattern=r"^[^/\\]+$", max_length=255),
    shape(f"^{_FILE}+$", minLength=1, maxLength=255),
]


@dataclass(frozen=True, slots=True)
class Seconds:
    """Whole seconds from `least` to `most`, also written `90s`, `15m`, `24h`, `7d`: `Annotated[int, Seconds(…)]`."""

    least: int
    most: int

    def check(self, value: object) -> int:
        """Return the seconds."""
        if isinstance(value, str) and (found := re.fullmatch("(0|[1-9][0-9]{0,8})([smhdw])", value)):
            value = int(found[1]) * UNITS[found[2]]
        if type(value) is int and self.least <= value <= self.most:
            return value
        sentence = f"A duration is {self.least} to {self.most} seconds, or a text such as 90s, 24h, 7d."
        raise PydanticCustomError("egret_duration_invalid", sentence)

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        return no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _schema: object, _handler: object) -> dict[str, Any]:
        number = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return {"anyOf": [number, {"type": "string", "pattern": spans(self.least, self.most)}]}
