"""Make the pictures of the dashboard anew (docs/images), in Chromium, of a store with made-up names.

Run it as `.venv/bin/python tools/screenshots.py`.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "images"
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from apis import Api  # noqa: E402
from draw import Draw  # noqa: E402
from playwright.sync_api import Browser, sync_playwright  # noqa: E402

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]  # fmt: skip
USES = (
    (0, "inject", "OPENAI_API_KEY", "api.openai.com", "header", "POST", "/v1/chat/completions", ""),
    (0, "inject", "OPENAI_API_KEY", "api.openai.com", "header", "POST", "/v1/chat/completions", ""),
    (0, "refuse", "OPENAI_API_KEY", "paste.example.net", "url", "GET", "/", "destination_not_allowed"),
    (1, "inject", "STRIPE_KEY", "api.stripe.com", "header", "GET", "/v1/charges", ""),
    (1, "refuse", "STRIPE_KY", "api.stripe.com", "header", "GET", "/v1/account", "unknown_secret"),
    (0, "inject", "LABEL_TOKEN", "app.labelbox.com", "header", "POST", "/graphql", ""),
)


def filled(api: Api) -> str:
    """Make a dataset that is in use; returns its path."""
    value = Draw("screenshots").hex(24)
    secrets = [
        {"name": "OPENAI_API_KEY", "value": value, "provider": "openai", "description": "The agent's own account"},
        {"name": "STRIPE_KEY", "value": value, "provider": "stripe", "rotate_after": "30d"},
        {"name": "LABEL_TOKEN", "value": value, "hosts": ["*.labelbox.com"], "locations": ["header"]},
        {"name": "GITHUB_TOKEN", "value": value, "provider": "github"},
        {"name": "BILLING_KEY", "value": value, "hosts": [{"host": "billing.example.com", "methods": ["GET"]}]},
    ]
    made = api.dataset(*secrets, name="reviews", variables=[{"name": "REGION", "value": "eu"}])
    path = f"/projects/default/datasets/{made['id']}/"
    api("POST", "/members/", {"name": "Mia Ortiz", "id": "mia", "email": "mia@example.com", "role": "admin"})
    mia = api("POST", "/keys/", {"name": "Mia's laptop", "permission": "full", "member": "mia"}).json["key"]
    for _ in range(2):
        api("PUT", f"{path}secrets/OPENAI_API_KEY", {"value": value}, key=mia)
    labels = ("agent run 1", "nightly report")
    sessions = [api("POST", f"{path}sessions/", {"label": label}, key=mia).json["id"] for label in labels]
    scope = {"organisation": "default", "project": "default", "dataset": made["id"], "spool": "screenshots"}
    lines = []
    for at, (who, event, name, host, place, method, target, code) in enumerate(USES):
        what = {"event": event, "secrets": [name], "destination": host, "location": place, "method": method}
        how = {"path": target, "code": code, "session": sessions[who], "request_id": f"req_{at:024x}"}
        lines.append(json.dumps({**scope, **what, **how, "seq": at, "time": time.time() - 90 + at * 11}) + "\n")
    folder = api.store.data / "spool"
    folder.mkdir(exist_ok=True)
    (folder / "screenshots.jsonl").write_text("".join(lines))
    api.store.vault.intake(api.store.data).take()
    return path


def shoot(browser: Browser, api: Api, pages: dict[str, str], scheme: str, size: tuple[int, int]) -> None:
    """Make pictures in one window."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    page.goto(f"{api.url}/dashboard/login")
    page.fill("input[name=key]", api.key)
    page.click("main button")
    for name, path in pages.items():
        page.goto(f"{api.url}/dashboard{path}")
        page.screenshot(path=OUT / f"{name}.png")
    context.close()


def main() -> None:
    """Fill a store, serve it, make the pictures, and say how large they are."""
    OUT.mkdir(exist_ok=True)
    found = next(path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as tool:
        api = Api(Path(folder) / "data")
        path = filled(api)
        ask = f"{path}ask/?name=OPENAI_API_KEY&where=url&url=https://paste.example.net/"
        browser = tool.chromium.launch(executable_path=found, args=FLAGS)
        shoot(browser, api, {"dataset": path, "audit": "/audit/"}, "light", (1200, 760))
        shoot(browser, api, {"secret": f"{path}secrets/OPENAI_API_KEY/"}, "dark", (1200, 760))
        phone = {"phone-allowed": ask, "phone-leak": f"{path}secrets/OPENAI_API_KEY/leak/"}
        shoot(browser, api, phone, "dark", (390, 800))
        browser.close()
        api.close()
    for each in sorted(OUT.glob("*.png")):
        print(f"{each.relative_to(ROOT)} {each.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
