"""docs/cli.md, from the commands themselves."""

from collections.abc import Iterator

import click

from egret.cli.__main__ import main

INTRO = """\
# Command line

<!-- Written by `make docs` from the commands themselves; a test compares. -->

    egret init  --data data          # prints the owner key, once
    egret serve --data data          # prints "ready admin=… proxy=… gateway=…" when all listeners accept

**Server and key.** Commands that talk to a server take them from `EGRET_URL` and `EGRET_API_KEY`, or from `egret
login`, which keeps the key in the system's keyring or, where there is none, in a file that only its owner can read.
A kept key is only ever sent to the server that it was entered for.

**Values.** No command shows a secret's value; none could. A value is asked for on a terminal, or read from stdin
(exactly one line break at its end is dropped), from `--from-file` (byte for byte) or from `--from-env`. A value
among the arguments is refused with exit code 2, and nothing is sent: what stands there is in the shell's history
and visible to every process, so treat it as leaked.

**Sealing.** A secret is sealed to the store's key before it is sent: the admin API never has its value. The first key
that a server shows is remembered in `known-stores.json` beside the credentials; where a command cannot keep files, set
`EGRET_SEALING_KEY` to the key's fingerprint. Another key is exit code 6, and nothing is sent, until `egret trust-key`.

**Output.** Tables on a terminal, tab-separated columns without headings in a pipe, `--json` with every command.
Messages go to stderr.

**Exit codes.** 0 done · 1 error · 2 usage · 3 not found · 4 not authenticated · 5 forbidden · 6 conflict · 7
unavailable · 8 reading a secret was asked for, which is write-only. `egret run` ends as its command does (126 and
127 as in a shell).

**Signals of `egret serve`.** SIGTERM and SIGINT drain: no new connections, requests in flight finish
(`limits.drain_timeout` at most), exit code 0; a second one ends at once. SIGHUP replaces the proxy's and the
gateway's processes one by one without refusing a connection. A process that dies is started again, with growing
delays, and that is said on stderr.
"""


def sections(command: click.Command, path: tuple[str, ...]) -> Iterator[str]:
    """Yield a heading and the help of each command below `command`."""
    context = click.Context(command, info_name=" ".join(path), terminal_width=100, max_content_width=100)
    if len(path) > 1:
        help_text = "\n".join(f"    {line}".rstrip() for line in command.get_help(context).splitlines())
        yield f"{'#' * len(path)} {' '.join(path)}\n\n{help_text}\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from sections(found, (*path, name))


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRO, *sections(main, ("egret",))])
