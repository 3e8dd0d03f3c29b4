"""The command line: `egret`.

Each command is a function in a module of its own, imported when it is run: `egret --help` needs click alone and stays
under 150 ms, while the planes import what they like.
"""

import importlib
import keyword
import signal
import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = __name__ == "__main__" or sys.argv[0].rpartition("/")[2] == "egret"
"""Whether this process is the command line, and not a program that imports it."""

if PROGRAM and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # An import can swallow KeyboardInterrupt ("Exception ignored in …"), and `egret run` went on after a Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import click  # noqa: E402

from egret import __version__  # noqa: E402
from egret.cli.common import USAGE, Group, fail  # noqa: E402
from egret.installed import lacks_module  # noqa: E402

COMMANDS: Final = {
    "init": ("egret.cli.init", "Create keys, CA and database in a folder; print the owner key."),
    "serve": ("egret.cli.serve", "Run everything: store, dashboard, forward proxy, gateway."),
    "store": ("egret.cli.planes", "Run the control plane alone."),
    "proxy": ("egret.cli.planes", "Run the forward proxy alone."),
    "gateway": ("egret.cli.planes", "Run the gateway alone."),
    "demo": ("egret.cli.demo", "Show a round trip on loopback, explained as it runs."),
    "install": ("egret.cli.install", "Install the engine mitmproxy, by hash."),
    "doctor": ("egret.cli.doctor", "Prove the path of a running server with a canary."),
    "run": ("egret.cli.run", "Run a command behind the proxy."),
    "sidecar": ("egret.cli.sidecar", "Capture the connections of a pod."),
    "status": ("egret.cli.status", "Show the server, whether it is well, and the folder's default."),
    "whoami": ("egret.cli.status", "Show the key that is used, and what it may do."),
    "use": ("egret.cli.use", "Make a dataset the default of this folder."),
    "login": ("egret.cli.login", "Keep a server's URL and an API key."),
    "logout": ("egret.cli.login", "Forget them."),
    "trust-key": ("egret.cli.login", "Believe a server's new sealing key."),
    "project": ("egret.cli.project", "Create, list and change projects."),
    "org": ("egret.cli.project", "Show and change the organisation."),
    "dataset": ("egret.cli.dataset", "Create, list and remove datasets."),
    "budget": ("egret.cli.budget", "Limit what the sessions of a dataset may ask for."),
    "secret": ("egret.cli.secret", "Put, list and remove secrets."),
    "var": ("egret.cli.var", "Put, list and remove variables."),
    "kv": ("egret.cli.kv", "Both, under keys such as prod/db/password."),
    "import": ("egret.cli.importing", "Import secrets from a file of another system."),
    "export": ("egret.cli.importing", "Write what is known of secrets, without values."),
    "provider": ("egret.cli.provider", "Show the APIs that have presets."),
    "session": ("egret.cli.session", "Open, list and revoke sessions."),
    "key": ("egret.cli.key", "Create, list, rotate and revoke API keys."),
    "member": ("egret.cli.member", "Add, list and remove members; set their roles."),
    "group": ("egret.cli.group", "Groups of members and their permissions."),
    "consumer": ("egret.cli.consumer", "Declare the secrets that a plugin, agent or job uses."),
    "audit": ("egret.cli.audit", "Read and verify the audit log."),
    "keyring": ("egret.cli.keyring", "Rotate the key that values are sealed to."),
    "recovery": ("egret.cli.recovery", "Keep a recovery key offline; restore with it."),
    "backup": ("egret.cli.backup", "Copy the database while the store runs."),
    "restore": ("egret.cli.backup", "Put a copy back, as a new epoch."),
    "trust-epoch": ("egret.cli.backup", "Have a data plane believe a restored store."),
}
"""Every command: the module that defines it, under its own name, and the line that `--help` shows."""


_SILENT: Final = frozenset({"run", "serve", "store", "proxy", "gateway", "sidecar"})
"""Commands that need no stdout of their own."""


def _place(error: OSError) -> str:
    return f": {error.filename}" if isinstance(error.filename, str) else ""


def _unforeseen(error: Exception) -> str:
    import traceback  # noqa: PLC0415

    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    return f"this is a fault of Egret's: {where}. Its text is not shown, since it may hold a value; please report it."


class Lazy(Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        if PROGRAM and cmd_name != "run" and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # for prompts and what has to be undone
        attribute = cmd_name.replace("-", "_") + ("_" if keyword.iskeyword(cmd_name) else "")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. What it did not foresee is a sentence: the text of a traceback may hold a key or a value."""
        if sys.stdout is None and ctx.invoked_subcommand not in _SILENT:
            fail("stdout is closed, and what this command prints would be lost: give it one (>/dev/null)", USAGE)
        try:
            done = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # or a full disk is found when nobody can say so any more
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except OSError as error:
            fail(f"{error.strerror or type(error).__name__}{_place(error)}. What was done before that stays.")
        except Exception as error:  # noqa: BLE001
            lacking = lacks_module(error) if isinstance(error, ModuleNotFoundError) else ""
            fail(lacking or _unforeseen(error))
        return done

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="egret")
def main() -> None:
    """Egret injects secrets into outbound requests: the code that makes the request never sees them.

    Commands that talk to a server take it from EGRET_URL and EGRET_API_KEY, or from `egret login`.
    """


if __name__ == "__main__":
    main()
