"""From the user's wishes to a command that has ended: the one way into the sandbox."""

import contextlib
import os
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from egret.hardening import forget_key, undumpable
from egret.sandbox import machine as machines
from egret.sandbox import stops
from egret.sandbox.bubblewrap import Bubblewrap, Inside, StartError
from egret.sandbox.files import Seen, Shared, examine, home_of, mount
from egret.sandbox.identity import git_identity
from egret.sandbox.inherited import variables as inherited
from egret.sandbox.levels import SAID, Level, choose, no_sandbox, protects
from egret.sandbox.machine import Machine
from egret.sandbox.made import Made
from egret.sandbox.mounted import Source, compare, sources, wait
from egret.sandbox.namespace import PROXY, Helper, Listeners, NamespaceError, enter
from egret.sandbox.own import kept
from egret.sandbox.places import real, records, within
from egret.sandbox.roots import Roots, companions, refuse_data
from egret.sandbox.roots import of as roots_of
from egret.sandbox.terminal import Terminal
from egret.sandbox.way_out import WayOut
from egret.sandbox.writable import Unshareable

PACKAGE: Final = Path(__file__).resolve().parents[1]
"""`egret` itself: the shims, and `from egret import secrets`, whose source may be elsewhere than the environment."""

MOUNTED: Final = (Level.FULL, Level.PROXY_ONLY)
"""Levels with namespaces, where the proxy is on the sandbox's own loopback."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of `egret run`, and the `run:` section."""

    mode: str = "auto"
    share: Sequence[Path] = ()
    share_rw: Sequence[Path] = ()
    keep_env: Sequence[str] = ()
    devices: Sequence[str] = ()
    publish: Sequence[int] = ()
    userns: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What was decided before a session is opened. `seen` is None where nothing is mounted.

    `own` is what is read-only in the writable folders because it runs outside.
    """

    level: Level
    machine: Machine
    wishes: Wishes
    shared: Shared
    seen: Seen | None
    published: Sequence[socket.socket] = ()
    own: Sequence[Path] = ()

    def proxy_url(self, session_url: str) -> str:
        """Return the proxy's URL as the command has it."""
        return WayOut.of(session_url).inside(PROXY) if self.level in MOUNTED else session_url

    def allowed(self, environ: Mapping[str, str], names: Collection[str], say: Callable[[str], None]) -> dict[str, str]:
        """Return the variables that are no credentials; what is left out is said by its name."""
        passed, left = inherited(environ, names, self.wishes.keep_env)
        if left:
            say(f"left out, for they look like credentials (--keep-env NAME keeps one): {', '.join(left)}")
        return passed

    def environ(
        self,
        environ: Mapping[str, str],
        more: Mapping[str, str],
        *,
        names: Collection[str],
        dataset: str,
        folder: Path,
        say: Callable[[str], None],
    ) -> dict[str, str]:
        """Return the variables that the command gets of the user's, and `more`: what env files say.

        `names` are the dataset's; `folder` is for our files. Code inside can write an env file, so `more` decides
        nothing outside. Raises `Unshareable` where no HOME can be kept.
        """
        added = self.allowed(more, names, say)
        if self.level is Level.OFF:
            return {**environ, **added}
        kept = {"HOME": str(home_of(dataset, environ)), "PWD": str(self.shared.cwd)}
        passed = companions(environ) | self.allowed(environ, names, say)
        return passed | added | kept | git_identity(folder, environ)


def plan(wishes: Wishes, environ: Mapping[str, str]) -> Plan:
    """Decide on the level and look through the folders; raises `NoSandbox` and `Unshareable`."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise Unshareable("the working folder was removed: change to one that is there") from None
    machine = machines.find()
    level = choose(wishes.mode, machine, protects(environ))
    shared = Shared(
        real(here),
        [real(path) for path in wishes.share],
        [real(path) for path in wishes.share_rw],
        wishes.devices,
    )
    seen = None if level is Level.OFF else examine(shared, environ)
    own = [] if level is Level.OFF else kept(shared.writable, environ)
    if own and level is Level.LANDLOCK:
        raise Unshareable(f"{own[0]} runs outside, and Landlock cannot keep it read-only: work in another folder")
    return Plan(level, machine, wishes, shared, seen, _published(wishes.publish) if level in MOUNTED else (), own)


def _published(ports: Sequence[int]) -> list[socket.socket]:
    if not ports:
        return []
    from egret.sandbox.publish import bind  # noqa: PLC0415  # asyncio, which few need this early

    try:
        return bind(ports)
    except OSError as error:
        raise Unshareable(f"--publish {', '.join(map(str, ports))}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Job:
    """A command and what it needs: its words, its environment (`inside`), the session's proxy, and files of ours.

    `environ` is the user's environment; `say` gets lines for the user. `mark` is the name of the sandbox's processes,
    `trusted` a PEM bundle of what is trusted inside.
    """

    program: str
    words: Sequence[str]
    inside: Mapping[str, str]
    session_url: str
    extra: Sequence[Path]
    environ: Mapping[str, str]
    say: Callable[[str], None]
    mark: str
    trusted: Path | None = None


def run(chosen: Plan, job: Job) -> int:
    """Run the command in namespaces of its own; return its exit code. Raises `NoSandbox` before it started.

    From here on this process is undumpable and knows no API key. A signal that ends it before the command runs raises
    `Stopped`.
    """
    with stops.held():
        return _prepared(chosen, job)


def _prepared(chosen: Plan, job: Job) -> int:
    undumpable()
    forget_key()
    if chosen.level is Level.LANDLOCK:
        _become(chosen, job)
    terminal = Terminal()
    program = os.path.abspath(job.program)  # noqa: PTH100  # resolve() would follow a virtual environment's links
    inside = Inside(program, job.words[1:], job.inside, chosen.shared.cwd, bool(terminal), chosen.wishes.userns)
    with contextlib.ExitStack() as stack:
        for folder in chosen.shared.writable:
            stack.callback(Made(folder, records(job.environ), chosen.own).close)
        if chosen.own:
            job.say(f"read-only inside, for it runs outside: {', '.join(map(str, chosen.own))}")
        roots = _roots(program, chosen, job)
        mounts = mount(
            roots.shown,
            chosen.shared,
            chosen.seen,
            kept_home=Path(job.inside["HOME"]),
            extra=[*job.extra, PACKAGE],
            own=chosen.own,
            trusted=job.trusted,
        )
        allowed = sources(mounts.options, chosen.shared.writable)
        started = Bubblewrap(chosen.machine, mounts, inside, job.mark)
        return _run(chosen, job, started, terminal, allowed, roots.beside)


def _roots(program: str, chosen: Plan, job: Job) -> Roots:
    """Return what the command needs beside the system, and where that is, for every level; what is left out is said."""
    found = roots_of(program, job.environ, chosen.shared.cwd, chosen.shared.share_rw)
    shared = [*chosen.shared.share, *found.shown.values()]
    for path in (path for path in found.left if within(real(path), shared) is None):
        job.say(f"not shown: {path}: a file that code in a sandbox could write names it (--share shows a folder)")
    return found


def _become(chosen: Plan, job: Job) -> NoReturn:
    """Confine this process and replace it by the command; it finds room for temporary files in our folder."""
    from egret.sandbox import landlock  # noqa: PLC0415

    room = job.extra[0] / "tmp"
    room.mkdir(mode=0o700, exist_ok=True)
    roots = _roots(os.path.abspath(job.program), chosen, job)  # noqa: PTH100  # as above
    for folder in chosen.shared.writable:
        Made.remember(folder, records(job.environ))
    refuse_data(roots.beside)
    read = landlock.readable([*roots.shown.values(), *chosen.shared.share, *map(real, [*job.extra, PACKAGE])])
    write = [*chosen.shared.writable, Path(job.inside["HOME"]), real(room), *landlock.devices()]
    landlock.confine(read, write, WayOut.of(job.session_url).port)
    job.say(SAID[Level.LANDLOCK])
    landlock.become(job.program, job.words, {**job.inside, "TMPDIR": str(room)})


def _run(  # noqa: PLR0917
    chosen: Plan,
    job: Job,
    started: Bubblewrap,
    terminal: Terminal,
    allowed: Sequence[Source],
    beside: Sequence[Path],
) -> int:
    try:
        init = started.child()
        helper = enter(init, chosen.machine.nft if chosen.level is Level.FULL else None)
        # While bubblewrap and the helper work; nothing is shown to anybody before the command is let go.
        refuse_data(beside)
        from egret.sandbox.keeper import Keeper  # noqa: PLC0415  # asyncio

        level, listeners = _network(helper, init, job.say)
        compare(wait(init), allowed)
        job.say(SAID[level])
        way_out = WayOut.of(job.session_url)
        return Keeper(started, init, listeners, way_out, terminal, published=chosen.published).run(job.say)
    except (StartError, NamespaceError) as error:
        started.abandon()
        raise no_sandbox(
            machines.why_not(machines.probe(chosen.machine) or str(error)), protects(job.environ)
        ) from None
    except BaseException:
        started.abandon()
        raise


def _network(helper: Helper, init: int, say: Callable[[str], None]) -> tuple[Level, Listeners]:
    """Take the listeners; where the kernel has no nftables, go on without capture."""
    if not helper.captured:
        return Level.PROXY_ONLY, _heeded(helper)
    try:
        return Level.FULL, _heeded(helper)
    except NamespaceError as error:
        say(f"connections cannot be captured here: {error}")
        return Level.PROXY_ONLY, _heeded(enter(init, None))


def _heeded(helper: Helper) -> Listeners:
    with stops.heeded():
        return helper.listeners()
