"""One YAML file and `EGRET_…` variables, parsed once into frozen settings.

Every key is optional. `EGRET_PROXY__LISTEN` overrides `proxy.listen`; lists are written `80,443`. A key that is unknown
or has a bad value stops the start with the key, its line and what is allowed; the value itself is never printed.
Relative paths are relative to the folder that the program was started in.

This is the one module that reads the environment.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from egret.sections import Settings as Settings  # noqa: PLC0414  # where it is looked for


class SettingsError(Exception):
    """The configuration cannot be used; the message is a line per fault, without values."""


def _known() -> dict[str, list[str]]:
    from dataclasses import fields  # noqa: PLC0415

    from egret.sections import sections  # noqa: PLC0415

    return {name: [option.name for option in fields(section)] for name, section in sections().items()}


def environment() -> dict[str, str]:
    """Return a copy of the process's environment; the only reading of it in the sources."""
    return dict(os.environ)  # noqa: TID251


def load(path: "Path | None", environ: Mapping[str, str]) -> "Settings":
    """Read `path` (None: defaults only), apply overrides; raises `SettingsError` that lists every fault."""
    # What there is to set takes 10 ms to import, and most commands want to know the environment alone.
    from egret.sections import Settings, sections  # noqa: PLC0415

    faults: list[str] = []
    raw: dict[tuple[str, str], Any] = {}
    if path is not None:
        from egret.settings_file import read  # noqa: PLC0415  # yaml costs 20 ms, which few commands need to pay

        raw.update(read(path, _known(), faults))
    raw.update(_overrides(environ, faults))
    built = {name: _section(name, cls, raw, faults) for name, cls in sections().items()}
    if faults:
        raise SettingsError("\n".join(faults))
    return Settings(**built)


def _overrides(environ: Mapping[str, str], faults: list[str]) -> "dict[tuple[str, str], Any]":
    found: dict[tuple[str, str], Any] = {}
    known = _known()
    for variable, text in sorted(environ.items()):
        if not variable.startswith("EGRET_") or "__" not in variable:
            continue
        from egret.settings_file import Raw, unknown  # noqa: PLC0415  # yaml again

        section, _, key = variable.removeprefix("EGRET_").lower().partition("__")
        if fault := unknown(known, section, key):
            faults.append(f"environment variable {variable}: {fault}")
        else:
            found[section, key] = Raw(text, f"environment variable {variable}")
    return found


def _section(name: str, cls: type, raw: "Mapping[tuple[str, str], Any]", faults: list[str]) -> Any:  # noqa: ANN401
    from dataclasses import fields  # noqa: PLC0415

    from egret.kinds import Rejected  # noqa: PLC0415

    values = {}
    for key in fields(cls):
        given = raw.get((name, key.name))
        if given is None:
            continue
        kind = key.metadata["kind"]
        try:
            values[key.name] = kind.parse(given.value)
        except Rejected:
            faults.append(f"{given.where}: {name}.{key.name}: must be {kind.allowed}")
    return cls(**values)
