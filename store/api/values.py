"""The two fields that hold a secret on its way in: `value` in clear, or `sealed` by the client.

They are the only ones. What is read becomes a `SecretValue` at once, so no repr, dump or error of pydantic's shows it.
The vault judges it (length, control characters); here it only stops being text.
"""

import base64
import binascii
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from store.model import MAX_VALUE, SecretValue

MAX_SEALED = 192 * 1024
"""Characters of base64: an envelope of the longest value, with room."""

_HIDDEN = {"type": "string", "format": "password", "writeOnly": True, "minLength": 1}
_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_VALUE, "pattern": r"^[^\x00-\x08\x0b-\x1f\x7f]+$"}


def _value(given: object) -> SecretValue:
    if not isinstance(given, str):
        raise PydanticCustomError("egret_wrong_type", "A value is a string.")
    return SecretValue(given.encode())


def _sealed(given: object) -> SecretValue:
    text = given if isinstance(given, str) and len(given) <= MAX_SEALED else "?"
    try:
        return SecretValue(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise PydanticCustomError("egret_not_base64", "`sealed` is an envelope in standard base64.") from None


Value = Annotated[SecretValue, PlainValidator(_value), WithJsonSchema({**_TEXT, **_HIDDEN})]
Sealed = Annotated[
    SecretValue,
    PlainValidator(_sealed),
    WithJsonSchema(
        {**_HIDDEN, "maxLength": MAX_SEALED, "contentEncoding": "base64", "pattern": "^([A-Za-z0-9+/]{4})+$"}
    ),
]
Readable = Annotated[SecretValue, PlainValidator(_value), WithJsonSchema(_TEXT)]
"""A variable's value: no secret, so nothing hides it."""
