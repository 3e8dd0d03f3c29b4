"""How a value reaches the command line: a prompt, stdin, a file or a variable; never the command line itself.

What stands in argv is kept by the shell's history and shown to every process by `ps`, so a value there is refused,
with the right command printed, and nothing is sent: the caller should see it as leaked, not as stored.
"""

import functools
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import click
from click.core import ParameterSource

from egret.cli import parts
from egret.cli.common import USAGE, fail
from egret.cli.hosts import typed
from egret.settings import environment

MAX_VALUE: Final = 64 * 1024
"""As store.model.MAX_VALUE; that module is not imported here to keep commands quick."""

_SAID: Final = frozenset({"dataset", "org", "project", "kind", "hosts", "argv_value", "from_env", "from_file"})
"""Options that `_repeated` writes itself, or that say where the value is."""
DOUBTFUL: Final = re.compile(
    r"(?i)change[-_ ]?me|xxx+|your[-_ ]?(api[-_ ]?)?(key|token|secret).*|todo|password|secret|#\{.*\}"
)


def takes_value[F: Callable[..., Any]](command: str, *, typed_unless: str = "") -> Callable[[F], F]:
    """Give the function `value`, which reads the value when called, and trap values in argv.

    The trap acts before anything else, credentials included. With `typed_unless`, the value may stand in argv unless
    that flag is set (it is no secret then).
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(
            rest: tuple[str, ...],
            argv_value: str | None,
            from_file: Path | None,
            from_env: str | None,
            **kwargs: Any,  # noqa: ANN401  # click's
        ) -> None:
            subject = kwargs.get("name") or kwargs.get("key") or ""
            words = [*rest, *([] if argv_value is None else [argv_value])]
            typed = bool(typed_unless) and not kwargs[typed_unless]
            if not typed:
                _refuse_argv(command, subject, words, kwargs)
            elif len(words) > 1:
                raise click.UsageError("give one value")
            given = words[0] if typed and words and words[0] != "-" else None
            kind = kwargs.get("kind")
            function(value=lambda: read(subject, from_file, from_env, kind) if given is None else given, **kwargs)

        return _options(cast("F", wrapped))

    return decorate


def _options[F: Callable[..., Any]](function: F) -> F:
    for option in (
        click.argument("rest", nargs=-1, metavar="", type=click.UNPROCESSED),
        click.option("--value", "-v", "argv_value", hidden=True),
        click.option("--from-env", metavar="VARIABLE", help="Read the value from an environment variable."),
        click.option("--from-file", type=click.Path(path_type=Path), help="Read the value from a file, byte for byte."),
    ):
        function = option(function)
    return function


def read(name: str, from_file: Path | None, from_env: str | None, kind: str | None = None) -> str:
    """Return the value; ends the command when it cannot be one. `kind`: what is done with it, and so its parts."""
    if from_file is not None and from_env is not None:
        raise click.UsageError("give either --from-file or --from-env")
    whole = kind is None or kind not in parts.PARTS
    if from_file is not None:
        raw = _file(from_file)
    elif from_env is not None:
        raw = (None if whole else parts.of_variables(str(kind), from_env)) or _variable(from_env)
    elif sys.stdin.isatty() and not whole:
        raw = parts.asked(str(kind), name)
    elif sys.stdin.isatty():
        raw = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True).encode()
    else:
        raw = _stdin()
    return _text(raw if whole else parts.of_text(str(kind), raw))


def _refuse_argv(command: str, name: str, words: Sequence[str], options: Mapping[str, Any]) -> None:
    """End the command (exit 2) when a value was given in argv; `-` alone means stdin and is fine."""
    if "=" in name or [word for word in words if word != "-"]:
        _refuse(f"{command} {_shown(name.split('=', 1)[0])}{_repeated(options)}")


def _shown(name: str) -> str:
    """Return the name if it can be one: whoever swaps name and value must not find the value in a log."""
    return name if re.fullmatch(r"[A-Z][A-Z0-9_]{0,127}|[a-z0-9_]+(/[a-z0-9_]+)+", name) else "NAME"


def _repeated(options: Mapping[str, Any]) -> str:
    """Write the options that say where and for whom again, so that the printed command is the right one."""
    words = [("--dataset", options.get("dataset")), ("--org", options.get("org"))]
    words += [("--project", options.get("project"))] if options.get("project") not in {None, "default"} else []
    words += [("--kind", options.get("kind"))]
    words += [("--host", typed(host)) for host in options.get("hosts") or ()]
    words += _others()
    return "".join(f" {flag} {shlex.quote(value)}" for flag, value in words if value)


def _others() -> Iterator[tuple[str, str]]:
    """Give every other option that was typed: without one of them the value would be put somewhere else."""
    context = click.get_current_context()
    for option in context.command.params:
        typed_here = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if isinstance(option, click.Option) and typed_here and not option.is_flag and option.name not in _SAID:
            given = context.params[str(option.name)]
            yield from ((option.opts[0], str(each)) for each in (given if isinstance(given, tuple) else (given,)))


def _refuse(command: str) -> NoReturn:
    fail(
        "a value on the command line stays in the shell's history and every process can see it; nothing was sent.\n"
        "Use one of these, and consider the value that was typed as leaked:\n"
        f"  {command}                       (asks for the value)\n"
        f"  {command} < FILE                (from stdin, without its last line break)\n"
        f"  {command} --from-file FILE      (byte for byte)\n"
        f"  {command} --from-env VARIABLE",
        USAGE,
    )


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_VALUE + 1)
    except OSError as error:
        fail(f"{path}: {error.strerror}")


def _variable(name: str) -> bytes:
    found = environment().get(name)
    if found is None:
        fail("there is no environment variable of that name", USAGE)  # not repeated: it may be the value itself
    return found.encode("utf-8", "surrogateescape")


def _stdin() -> bytes:
    """Read all; strip exactly one line break, which `echo` and editors add and nobody means."""
    raw = sys.stdin.buffer.read(MAX_VALUE + 3)
    return raw.removesuffix(b"\n").removesuffix(b"\r") if raw.endswith(b"\r\n") else raw.removesuffix(b"\n")


def _text(raw: bytes) -> str:
    if not raw:
        fail("the value is empty; nothing was sent", USAGE)
    if len(raw) > MAX_VALUE:
        fail("the value is longer than 64 KiB; nothing was sent", USAGE)
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        fail("the value is not UTF-8 text; encode it (base64, say) as its API expects it; nothing was sent", USAGE)
    if value != value.strip():
        click.echo("egret: warning: the value begins or ends with white space; it is kept as it is", err=True)
    if DOUBTFUL.fullmatch(value):
        click.echo("egret: warning: the value looks like a stand-in for one", err=True)
    return value
