"""The kinds of fields and their place in the OpenAPI document.

Types are checked here; the rules of names, hosts, durations are the vault's, which answers with pointer and remedy.
A form stated here is what every client may rely on. Where the vault takes more (IDNA hosts, any printable script),
the form says the part that needs no second look.
"""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_plain_validator_function


class Model(BaseModel):
    """Base of all inputs: strict types, no unknown fields, immutable, no input in errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class Out(BaseModel):
    """Base of all answers; made from what the vault returns by attribute."""

    model_config = ConfigDict(
        frozen=True,
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
_VISIBLE = "[!-~\u00a1-\u00ac\u00ae-\u024f\u0400-\u045f]"

Name = Annotated[str, shape(NAME)]
Id = Annotated[str, shape(ID)]
Label = Annotated[str, shape(f"^{_VISIBLE}[ {_VISIBLE[1:]}*$", minLength=1, maxLength=64)]
Prose = Annotated[str, shape(f"^[ {_VISIBLE[1:]}*$", maxLength=1000)]
Environment = Annotated[str, shape("^[a-z0-9][a-z0-9_-]{0,31}$")]
Duration = Annotated[str, shape("^[1-9][0-9]{0,6}[smhdw]$", examples=["90d"])]
Origin = Annotated[str, shape("^(null|https?://[a-z][a-z0-9]{0,30}(\\.[a-z][a-z0-9]{0,30}){0,3}(:[1-9][0-9]{0,3})?)$")]
Filename = Annotated[str, shape("^[A-Za-z0-9_-]{1,60}\\.(zip|txt)$")]


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Seconds:
    """Whole seconds from `least` to `most`, also written `90s`, `15m`, `24h`, `7d`: `Annotated[int, Seconds(…)]`."""

    least: int
    most: int

    def check(self, value: object) -> int:
        """Return the seconds."""
        if isinstance(value, str) and (found := re.fullmatch("(0|[1-9][0-9]{0,8})([smhdw])", value)):
            value = int(found[1]) * _UNITS[found[2]]
        if type(value) is int and self.least <= value <= self.most:
            return value
        sentence = f"A duration is {self.least} to {self.most} seconds, or a text such as 90s, 24h, 7d."
        raise PydanticCustomError("egret_duration_invalid", sentence)

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        return no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _schema: object, _handler: object) -> dict[str, Any]:
        units = [(letter, -(-self.least // unit), self.most // unit) for letter, unit in _UNITS.items()]
        spans = [f"{_span(least, most)}{letter}" for letter, least, most in units if least <= most]
        number = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return {"anyOf": [number, {"type": "string", "pattern": f"^({'|'.join(spans)})$"}]}


def _span(least: int, most: int) -> str:
    """Return a pattern of the whole numbers from `least` to `most`, without leading zeros."""
    parts = []
    while least <= most:
        step = 1
        while least % (step * 10) == 0 and least and least + step * 10 - 1 <= most:
            step *= 10
        if step == 1 and least == 0:
            parts.append("0")
            least = 1
            continue
        last = min(least - least % (step * 10) + step * 9, most - most % step if most >= least + step - 1 else least)
        while last + step - 1 > most:
            last -= step
        head, tail = str(least // step), "[0-9]" * (len(str(step)) - 1)
        parts.append(f"{head[:-1]}[{head[-1]}-{str(last // step)[-1]}]{tail}")
        least = last + step
    return f"({'|'.join(parts)})"
