import pytest
from visitor import SAME

from store.dashboard.guard import MAX_FORM, Form

CANARY = "canary-9f3Kq7Zp2Wx8"


def attempts(shared):
    host = f"127.0.0.1:{shared.port}"
    return [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": f"http://{host}"}, False),
        ({"Sec-Fetch-Site": ""}, False),
        ({"Origin": f"http://{host}"}, True),
        ({"Origin": "http://evil.test"}, False),
        ({"Origin": f"http://{host}.evil.test"}, False),
        ({"Origin": f"http://evil.test/?{host}"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({}, False),
    ]


def test_only_our_own_pages_may_send_forms(shared, visitor):
    """A form from another origin does nothing, even with the cookie; so does one that does not say where from."""
    for number, (headers, good) in enumerate(attempts(shared)):
        answer = visitor.upload("/dashboard/datasets", {"name": f"n{number}", "project": "default"}, headers)
        assert answer.status == (303 if good else 403), headers
        listed = [each["name"] for each in shared("GET", "/projects/default/datasets/?limit=200").json["items"]]
        assert (f"n{number}" in listed) is good


def test_a_login_from_elsewhere_is_refused(shared):
    """Another site cannot log a person in with a key of its own."""
    from visitor import Visitor

    visitor = Visitor(shared)
    answer = visitor.post("/dashboard/login", {"key": shared.key}, {"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403 and not visitor.cookie


@pytest.mark.parametrize(
    ("raw", "headers", "status"),
    [
        (b"name=x&project=default", {"Content-Type": "text/plain"}, 415),
        (b'{"name":"x"}', {"Content-Type": "application/json"}, 415),
        (b"name=" + b"x" * MAX_FORM, {}, 413),
        (b"name=%ff", {}, 400),
        (b"name=\xff", {}, 400),
        (b"&".join(b"f%d=1" % number for number in range(100)), {}, 400),
    ],
)
def test_broken_forms(shared, visitor, raw, headers, status):
    """What is no form of ours is told so on a page, without a word of it."""
    sent = {**SAME, "Cookie": visitor.cookie, "Content-Type": "application/x-www-form-urlencoded", **headers}
    answer = shared("POST", "/dashboard/shared/secrets", raw=raw, key=None, headers=sent)
    assert answer.status == status and answer.headers["Content-Type"].startswith("text/html")


def test_a_form_shows_none_of_its_fields():
    """A form in a log or a traceback says nothing."""
    assert CANARY not in repr(Form({"value": CANARY}))


def test_line_ends_of_a_text_area_are_what_was_pasted():
    """Browsers send CR LF for each line end; the value has LF, as in the file that it was pasted from."""
    assert Form({"lines": "a\r\nb\r\n"}).value("lines") == b"a\nb\n"
