import re

from store.dashboard.assets import address


def test_files_are_kept_under_the_address_that_means_them(shared, visitor):
    """For ever by the mark of their bytes; by another mark, or by none, not at all. They need no login."""
    for name, media in (("style.css", "text/css"), ("live.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        answer = shared("GET", address(name), key=None)
        assert answer.status == 200 and answer.headers["Content-Type"].startswith(media)
        assert answer.headers["Cache-Control"] == "max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        for other in (f"/dashboard/{name}", f"/dashboard/{name}?v=0123456789abcdef"):
            again = shared("GET", other, key=None)
            assert again.body == answer.body and again.headers["Cache-Control"] == "no-store"
    named = set(
        re.findall(r'(?:href|src)="(/dashboard/[a-z]+[.][a-z]+[^"]*)"', visitor.get("/dashboard/audit/").body.decode())
    )
    assert named == {address("style.css"), address("live.js"), address("icon.svg")}


def test_the_script_makes_no_markup_of_text(shared):
    """None of the ways in which a string becomes markup or code is in it."""
    script = shared("GET", address("live.js"), key=None).body.decode()
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval", "Function(", "createContextual",
                "DOMParser", "setHTML", "srcdoc", "createPolicy", "import("):  # fmt: skip
        assert way not in script, way
