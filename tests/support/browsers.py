"""One person at two browsers: Chromium by Playwright, Debian's Firefox by Marionette, its own protocol of automation.

What a person does is written once: elements are found by the words that stand on them, pressed and typed into as by hand,
and what comes by itself is waited for.
"""

import contextlib
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

from engines import environment, profile
from marionette import MARKER, Marionette
from programs import program
from site_pages import CHROMIUM

PATIENCE = 30.0
"""Seconds until what should come is said not to have come."""


def quoted(text: str) -> str:
    mark = "'" if '"' in text else '"'
    return f"{mark}{text}{mark}"


def place(within: str) -> str:
    """A card by its heading or its summary; "" is the whole page."""
    known = f"[(h2|header/h2|summary)[starts-with(normalize-space(.), {quoted(within)})]]"
    return f"//*[self::section or self::details]{known}" if within else ""


class Person(ABC):
    """At a browser that is logged in or not; `url` is the store's."""

    def __init__(self, url: str):
        self.url = url
        self.faults = []
        """What the browser complains of, where it says so."""

    @abstractmethod
    def go(self, path: str) -> None: ...

    @abstractmethod
    def script(self, source: str, *args):
        """Run a function's body in the page, `args` being what is given; returns what that returns, or promises."""

    @abstractmethod
    def _click(self, xpath: str) -> None: ...

    @abstractmethod
    def _fill(self, xpath: str, text: str) -> None: ...

    @abstractmethod
    def _pick(self, xpath: str, option: str) -> None: ...

    @abstractmethod
    def type(self, text: str) -> None:
        """Type into what has the focus."""

    @abstractmethod
    def paste(self) -> None: ...

    @abstractmethod
    def turn(self, *, away: bool) -> None:
        """Look at another tab, or at this one again."""

    @abstractmethod
    def _answers(self, source: str, args):
        """Run a script; None where the page just changed."""

    def log_in(self, key: str) -> None:
        self.go("/dashboard/login")
        self.fill("API key", key)
        self.press("Log in")
        self.sees("Datasets")

    def log_out(self) -> None:
        """As another tab would: this page stays."""
        self.script(
            "return new Promise(done => { const asks = new XMLHttpRequest(); asks.open('POST', '/dashboard/logout');"
            "asks.onloadend = () => done(asks.status); asks.send(new URLSearchParams()); })"
        )

    def press(self, words: str, within: str = "") -> None:
        said = f"normalize-space(.)={quoted(words)} or @aria-label={quoted(words)}"
        self._click(f"{place(within)}//*[self::a or self::button or self::summary][{said}]")

    def fill(self, label: str, text: str, within: str = "") -> None:
        self._fill(self._field(label, within), text)

    def pick(self, label: str, option: str, within: str = "") -> None:
        self._pick(self._field(label, within), option)

    def focus(self, label: str) -> None:
        self._click(self._field(label, ""))

    @staticmethod
    def _field(label: str, within: str) -> str:
        fields, at = "*[self::input or self::select or self::textarea]", place(within)
        named = f"{at}//label[starts-with(normalize-space(.), {quoted(label)})]//{fields}"
        return f"{named} | {at}//{fields}[@aria-label={quoted(label)}]"

    def until(self, source: str, *args):
        """Wait until a script says yes; returns what it says."""
        ends = time.monotonic() + PATIENCE
        while not (found := self._answers(source, args)):
            assert time.monotonic() < ends, (source, args, self.words())
            time.sleep(0.05)
        return found

    def sees(self, *texts: str) -> None:
        for text in texts:
            self.until("return document.body.innerText.includes(args[0])", text)

    def misses(self, text: str) -> None:
        self.until("return !document.body.innerText.includes(args[0])", text)

    def words(self) -> str:
        return self.script("return document.body.innerText")

    def count(self, css: str) -> int:
        return self.script("return document.querySelectorAll(args[0]).length", css)


class AtChromium(Person):
    """`page` is Playwright's."""

    def __init__(self, url, page):
        super().__init__(url)
        self.page = page
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)

    def go(self, path):
        self.page.goto(self.url + path)

    def script(self, source, *args):
        return self.page.evaluate(f"(args) => {{ {source} }}", args)

    def _answers(self, source, args):
        from playwright.sync_api import Error

        with contextlib.suppress(Error):
            return self.script(source, *args)

    def _first(self, xpath):
        return self.page.locator(f"xpath={xpath}").locator("visible=true").first

    def _click(self, xpath):
        self._first(xpath).click()

    def _fill(self, xpath, text):
        self._first(xpath).fill(text)

    def _pick(self, xpath, option):
        self._first(xpath).select_option(label=option)

    def type(self, text):
        self.page.keyboard.type(text)

    def turn(self, *, away):
        # Headless, each page of Chromium is to be seen at all times: it is told otherwise.
        hidden = f"Object.defineProperty(document, 'hidden', {{get: () => {str(away).lower()}, configurable: true}})"
        self.script(f"{hidden}; document.dispatchEvent(new Event('visibilitychange'))")

    def paste(self):
        self.page.keyboard.press("Control+V")


class AtFirefox(Person):
    def __init__(self, url, call):
        super().__init__(url)
        self.call = call

    def go(self, path):
        self.call("WebDriver:Navigate", url=self.url + path)

    def script(self, source, *args):
        return self.call("WebDriver:ExecuteScript", script=f"const args = arguments; {source}", args=args)

    def _answers(self, source, args):
        with contextlib.suppress(RuntimeError):
            return self.script(source, *args)

    def _first(self, xpath):
        """The first element that is to be seen, as soon as there is one."""
        ends = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(RuntimeError):
                for each in self.call("WebDriver:FindElements", using="xpath", value=xpath):
                    if self.call("WebDriver:IsElementDisplayed", id=each[MARKER]):
                        return each[MARKER]
            assert time.monotonic() < ends, (xpath, self.words())
            time.sleep(0.05)

    def _click(self, xpath):
        self.call("WebDriver:ElementClick", id=self._first(xpath))

    def _fill(self, xpath, text):
        found = self._first(xpath)
        self.call("WebDriver:ElementClear", id=found)
        self.call("WebDriver:ElementSendKeys", id=found, text=text)

    def _pick(self, xpath, option):
        (chosen,) = self.call(
            "WebDriver:FindElements", using="xpath", value=f".//option[normalize-space(.)={quoted(option)}]",
            element=self._first(xpath),
        )  # fmt: skip
        self.call("WebDriver:ElementClick", id=chosen[MARKER])

    def type(self, text):
        self._keys([{"type": kind, "value": each} for each in text for kind in ("keyDown", "keyUp")])

    def paste(self):
        self._keys([{"type": kind, "value": key} for kind, key in (
            ("keyDown", "\ue009"), ("keyDown", "v"), ("keyUp", "v"), ("keyUp", "\ue009"))])  # fmt: skip

    def _keys(self, actions):
        keys = [{"type": "key", "id": "keys", "actions": actions}]
        self.call("WebDriver:PerformActions", actions=keys)

    def turn(self, *, away):
        self._inside("gBrowser.selectedBrowser.docShellIsActive = arguments[0]", not away)
        self.until("return document.hidden === args[0]", away)

    def _inside(self, script, *args):
        """Run a script of the browser itself."""
        self.call("Marionette:SetContext", value="chrome")
        self.call("WebDriver:ExecuteScript", script=script, args=args)
        self.call("Marionette:SetContext", value="content")

    def resize(self, width: int) -> None:
        """Give the page a width; a window's own is 500 at least."""
        self.call("WebDriver:SetWindowRect", width=max(width, 500), height=900)
        side = "gBrowser.selectedBrowser.style.setProperty(`${each}-width`, arguments[0])"
        self._inside(f"for (const each of ['min', 'max']) {side}", f"{width}px")
        self.until("return innerWidth === args[0]", width)


@contextlib.contextmanager
def chromium():
    """Start Chromium; yields what gives a person of a width."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=program("chromium"), args=CHROMIUM)

        @contextlib.contextmanager
        def person(url, width):
            size = {"width": width, "height": 900}
            context = browser.new_context(viewport=size, permissions=["clipboard-read", "clipboard-write"])
            yield AtChromium(url, context.new_page())
            context.close()

        yield person
        browser.close()


@contextlib.contextmanager
def firefox(folder: Path):
    """Start Firefox; yields what gives a person of a width."""
    port = folder / "profile" / "MarionetteActivePort"
    with environment(folder) as (start, _):
        process: subprocess.Popen = start(
            program("firefox"), "--headless", "--no-remote", "--marionette", "--remote-allow-system-access",
            "--profile", str(profile(folder, **{"marionette.port": 0})),
        )  # fmt: skip
        ends = time.monotonic() + 60
        while not (port.exists() and port.read_text()):
            assert process.poll() is None and time.monotonic() < ends, (folder / "said").read_text()[-2000:]
            time.sleep(0.05)
        call = Marionette(int(port.read_text()))
        call("WebDriver:NewSession")

        @contextlib.contextmanager
        def person(url, width):
            made = AtFirefox(url, call)
            made.resize(width)
            yield made
            call("WebDriver:DeleteAllCookies")

        yield person
        call.close()
