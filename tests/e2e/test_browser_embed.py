"""The embedding example, as a rater sees it: the real `egret serve`, a platform, an app in a frame, under its CSP."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from served import wait_for
from site_pages import chromium

pytestmark = [pytest.mark.e2e, pytest.mark.needs("chromium")]

ROOT = Path(__file__).parents[2]
VALUES = ("demo-api-token-4f1d", "demo-ws-token-90ac")


@pytest.fixture(scope="module")
def example():
    """The one command; yields its address and the lines it has printed so far."""
    process = subprocess.Popen(
        [sys.executable, "examples/embed/run.py"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True).start()
    found = wait_for(lambda: re.search(r"open (\S+)", "".join(lines)), "the example", 60)
    yield found[1], lines
    process.send_signal(signal.SIGINT)
    assert process.wait(40) == 0, process.stderr.read()[-2000:]


def test_rater_uses_the_app(example, tmp_path):
    """The app shows its text, live messages and thanks; the API got the tokens; the browser never has them."""
    url, lines = example
    traffic, said, bodies = [], [], []
    with chromium(tmp_path / "profile") as context:
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        for name in (
            "requestWillBeSent",
            "responseReceived",
            "responseReceivedExtraInfo",
            "webSocketCreated",
            "webSocketFrameReceived",
            "webSocketHandshakeResponseReceived",
        ):
            session.on(f"Network.{name}", lambda event: traffic.append(event))
        page.on("console", lambda message: said.append(message.text))
        page.on("response", lambda response: bodies.append(response) if "/s/egs_" in response.url else None)
        page.goto(url)
        frame = page.frame_locator("iframe")
        frame.get_by_text("The quick brown fox").wait_for(timeout=60_000)
        frame.get_by_text("others are rating now").wait_for(timeout=60_000)
        frame.get_by_role("button", name="Good").click()
        frame.get_by_text("Thank you.").wait_for(timeout=60_000)
        kept = Path(os.environ.get("EGRET_TEST_ARTEFACTS", tmp_path))
        kept.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=kept / "embed.png")
        seen = json.dumps(traffic) + page.content() + "".join(f.content() for f in page.frames) + "".join(said)
        texts = [response.text() for response in bodies if response.request.method != "OPTIONS"]
    assert any('"by":"Bearer #{SECRETS.API_TOKEN}"' in text.replace(": ", ":") for text in texts)
    for value in VALUES:
        assert value not in seen
        assert not any(value in text for text in texts)
    assert not [text for text in said if "egret" in text or "Security Policy" in text], said
    log = "".join(lines)
    assert f"GET /generate?token={VALUES[0]}" in log
    assert f"GET /stream?token={VALUES[1]}" in log
    assert f"POST /ratings  Authorization: Bearer {VALUES[0]}" in log


def test_other_page_cannot_use_the_session(example, tmp_path):
    """The platform's own page, which is not the app, cannot read with the app's token."""
    url, _ = example
    with chromium(tmp_path / "profile") as context:
        page = context.new_page()
        page.goto(url)
        frame = wait_for(lambda: next((f for f in page.frames if "app.localhost" in f.url), None), "the frame")
        page.frame_locator("iframe").get_by_text("The quick brown fox").wait_for(timeout=60_000)
        source = frame.evaluate("document.querySelector('script[src*=egret]').src")
        got = page.evaluate(
            "async (base) => { try { return (await fetch(base + 'https/localhost:1/')).status } catch (e) { return e.name } }",
            source.replace("egret.js", ""),
        )
    assert got == "TypeError"
