"""The kinds of fields: each one is a rule, its place in the JSON schema, and the sentence said when it is broken."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Model(BaseModel):
    """Base of all inputs: strict types, no unknown fields, immutable, no input in errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class Out(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, json_schema_serialization_defaults_required=True)


def text(pattern: str, code: str, sentence: str, **more: Any) -> Any:  # noqa: ANN401 - pydantic's own types are Any
    """Return a str type of the form `pattern` (whole string); a breach is `code` with `sentence`."""
    rule = re.compile(pattern.removeprefix("^").removesuffix("$"), re.DOTALL)

    def check(value: str) -> str:
        if rule.fullmatch(value) is None:
            raise PydanticCustomError(f"egret_{code}", sentence)  # type: ignore[arg-type]
        return value

    return Annotated[str, AfterValidator(check), Field(json_schema_extra={"pattern": pattern, **more})]


NAME = r"^[A-Z][A-Z0-9_]{0,127}$"
ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
PRINTABLE = r"^[^\x00-\x1f\x7f\ud800-\udfff]*$"

Name = text(NAME, "bad_name", "A name is A-Z, 0-9 and _, starts with a letter, and has 128 characters at most.")
Id = text(ID, "bad_id", "An id is letters, digits, _ and -, starts with a letter or digit, 64 characters at most.")
Line = text(PRINTABLE, "bad_text", "One line of text, without control characters.")
