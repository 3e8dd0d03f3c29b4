"""Limits are the settings' section of the same name."""

from dataclasses import fields

from egret import settings
from proxy.core.limits import DEFAULT, GIB, KIB, MIB, Limits


def test_the_defaults_are_those_of_the_contract() -> None:
    """64 KiB of head, 1 MiB of buffer, 1 GiB of body, 16 MiB of message."""
    assert (DEFAULT.header_bytes, DEFAULT.buffer_bytes, DEFAULT.body_bytes, DEFAULT.message_bytes) == (
        64 * KIB,
        MIB,
        GIB,
        16 * MIB,
    )
    assert DEFAULT == Limits()


def test_settings_have_every_limit() -> None:
    """By name."""
    found = settings.load(None, {}).limits
    assert {field.name for field in fields(Limits)} <= {name for name in dir(found) if not name.startswith("_")}
