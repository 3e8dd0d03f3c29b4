"""The file of prices: the one that Egret brings, or an operator's. What it must hold: `proxy.core.prices`."""

from importlib.resources import files
from pathlib import Path

import yaml

from egret.settings import SettingsError


def read_prices(path: Path | None) -> object:
    """Return what the file holds, `path` None: ours. Raises `SettingsError`, which does not quote it."""
    try:
        if path is None:
            # libyaml, where the wheel has it, is fifteen times as fast; both loaders make plain values only.
            return yaml.load(_ours(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        return yaml.safe_load(path.read_text("utf-8"))  # libyaml crashes on what is nested too deeply
    except OSError as error:
        raise SettingsError(f"proxy.prices: {path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # its text quotes the file
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise SettingsError(f"proxy.prices: {path}{line}: not valid YAML in UTF-8") from None


def _ours() -> str:
    """Return the file that is packaged with the wheel, or that of a checkout."""
    packaged = files("egret") / "prices.yaml"
    found = packaged if packaged.is_file() else Path(__file__).parent.parent / "config" / "prices.yaml"
    return found.read_text("utf-8")
