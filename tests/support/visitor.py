"""Fills in the dashboard's forms as a browser would, without one."""

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlencode

SAME = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Visitor:
    """Keeps the cookie; `get` and `post` return the answer as it is, `follow` goes where it says."""

    api: object
    cookie: str = ""
    set_cookie: str = field(default="")

    def get(self, path, **headers):
        return self._ask("GET", path, None, headers)

    def post(self, path, fields, headers=SAME):
        return self._ask("POST", path, urlencode(fields).encode(), headers)

    def upload(self, path, fields, headers=SAME, **files):
        """Send a form with files as a browser does: `files` are (name, bytes) by field, last."""
        parts = [(f'name="{name}"', text.encode()) for name, text in fields.items()]
        parts += [(f'name="{field}"; filename="{name}"', data) for field, (name, data) in files.items()]
        raw = b"".join(
            b"--EDGE\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (head.encode(), data)
            for head, data in parts
        )
        sent = {"Content-Type": "multipart/form-data; boundary=EDGE", **headers}
        return self._ask("POST", path, raw + b"--EDGE--\r\n", sent)

    def follow(self, answer):
        """Go where the answer to a form leads."""
        assert answer.status == 303, answer.body
        return self.get(answer.headers["Location"])

    def log_in(self, key=None):
        answer = self.post("/dashboard/login", {"key": key or self.api.key})
        assert answer.status == 303, answer.body
        return answer

    def _ask(self, method, path, raw, headers):
        sent = dict(headers)
        if raw is not None:
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if self.cookie:
            sent["Cookie"] = self.cookie
        answer = self.api(method, path, raw=raw, key=None, headers=sent)
        if "Set-Cookie" in answer.headers:
            self.set_cookie = answer.headers["Set-Cookie"]
            self.cookie = self.set_cookie.split(";")[0]
        return answer


def links(page: bytes) -> list[str]:
    """Every path that a page links to."""
    return [unescape(found).partition("#")[0] for found in re.findall(r'href="(/[^"]*)"', page.decode())]
