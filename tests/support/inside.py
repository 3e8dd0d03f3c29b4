"""The command line run inside the test's process: as quick as a function, for what needs no process of its own."""

from dataclasses import dataclass

from click.testing import CliRunner

from egret.cli.__main__ import main


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def egret(*arguments, text=None, **environ) -> Done:
    """Run `egret …` with these variables set; an exception that nobody caught is the test's failure."""
    result = CliRunner().invoke(main, [str(each) for each in arguments], input=text, env=environ)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)
