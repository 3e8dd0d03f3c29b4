"""config/egret.example.yaml, from the settings themselves."""

import textwrap
from dataclasses import fields

from configuration import written

from egret.sections import sections

INTRO = """\
# Every key of Egret's configuration with its default. Copy the keys that you want to change.
# Each key can be overridden by an environment variable: proxy.listen by EGRET_PROXY__LISTEN.
# Sizes are bytes, or take KiB, MiB, GiB; times are seconds. docs/configuration.md says what is allowed.
"""


def page() -> str:
    """Return the whole file."""
    lines = [INTRO]
    for name, cls in sections().items():
        lines += [*_comment(cls.__doc__ or "", ""), f"{name}:"]
        for key in fields(cls):
            lines += [*_comment(key.metadata["doc"], "  "), f"  {key.name}: {written(key)}"]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 116, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
