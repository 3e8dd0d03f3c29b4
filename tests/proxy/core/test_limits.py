"""Limits are the settings' section of the same name."""

from dataclasses import fields, replace

import pytest

from egret.settings import load
from proxy.core.limits import DEFAULT, GIB, KIB, MIB, Limits, fitted


def test_the_defaults_are_those_of_the_contract() -> None:
    """64 KiB of head, 1 MiB of buffer, 1 GiB of body, 16 MiB of message."""
    assert (DEFAULT.header_bytes, DEFAULT.buffer_bytes, DEFAULT.body_bytes, DEFAULT.message_bytes) == (
        64 * KIB,
        MIB,
        GIB,
        16 * MIB,
    )
    assert DEFAULT == Limits()


@pytest.mark.parametrize(
    ("descriptors", "configured", "connections", "of_session"),
    [
        (1 << 20, Limits(), 16_384, 4096),
        (65_536, Limits(), 16_384, 4096),
        (4096, Limits(), 1920, 480),
        (1024, Limits(), 384, 96),
        (400, Limits(), 72, 18),
        (100, Limits(), 1, 1),
        (4096, Limits(connections=100), 100, 25),
        (1 << 20, Limits(connections_per_session=10), 16_384, 10),
    ],
)
def test_limits_fit_what_the_process_may_have(
    descriptors: int, configured: Limits, connections: int, of_session: int
) -> None:
    """Two descriptors for a client, some for the rest, and no session takes more than a part."""
    found = fitted(configured, descriptors)
    assert (found.connections, found.connections_per_session) == (connections, of_session)
    assert replace(found, connections=1, connections_per_session=1) == replace(
        configured, connections=1, connections_per_session=1
    )


def test_settings_have_every_limit() -> None:
    """By name."""
    found = load(None, {}).limits
    assert {field.name for field in fields(Limits)} <= {name for name in dir(found) if not name.startswith("_")}
