"""Three browser engines that open one page, without a driver: the page says what it found (`site_pages.Pages.ask`).

Chromium and Firefox have no need of a display; WebKitGTK's MiniBrowser gets one of its own (Xvfb).
"""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from programs import program
from site_pages import CHROMIUM

FIREFOX = {
    "app.update.auto": False,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "termsofuse.bypassNotification": True,
    "toolkit.telemetry.enabled": False,
}
NEEDS = {"chromium": ("chromium",), "firefox": ("firefox",), "webkit": ("webkit", "Xvfb")}
"""What `pytest.mark.needs` is to name for an engine."""


@contextlib.contextmanager
def environment(folder: Path):
    """Yield what starts programs with a home of their own, until the block ends, and their environment.

    What they say is in `said`.
    """
    home = folder / "home"
    home.mkdir(parents=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "LANG": "C.UTF-8"}
    with contextlib.ExitStack() as stack, open(folder / "said", "ab") as said:

        def start(*command, **options):
            process = subprocess.Popen(
                command, env=env, stdout=said, stderr=said, stdin=subprocess.DEVNULL, start_new_session=True, **options
            )
            stack.callback(_end, process)
            return process

        yield start, env


def profile(folder: Path, **more) -> Path:
    """Write a profile for Firefox that asks nobody for anything."""
    (folder / "profile").mkdir()
    lines = (f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in {**FIREFOX, **more}.items())
    (folder / "profile" / "user.js").write_text("".join(lines))
    return folder / "profile"


@contextlib.contextmanager
def engine(name: str, url: str, folder: Path):
    """Run an engine with a fresh profile on a page, until the block ends."""
    with environment(folder) as (start, env):
        if name == "chromium":
            start(program(name), *CHROMIUM, f"--user-data-dir={folder / 'profile'}", url)
        elif name == "firefox":
            start(program(name), "--headless", "--no-remote", "--profile", str(profile(folder)), url)
        else:
            reading, writing = os.pipe()
            start("Xvfb", "-displayfd", str(writing), "-nolisten", "tcp", pass_fds=[writing])
            os.close(writing)
            with os.fdopen(reading) as display:
                env["DISPLAY"] = ":" + display.readline().strip()
            env |= {"LIBGL_ALWAYS_SOFTWARE": "1", "NO_AT_BRIDGE": "1", "GSETTINGS_BACKEND": "memory"}
            start(program(name), "--private", url)
        yield


def _end(process: subprocess.Popen) -> None:
    """End a browser and all its processes, which are a group of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
