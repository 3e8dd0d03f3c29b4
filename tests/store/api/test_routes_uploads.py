import threading
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from store.api import uploads

DATA = b"PK\x03\x04" + bytes(range(256)) * 4096


def send(url, data=DATA, method="PUT"):
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request(method, parts.path, data)
    answer = connection.getresponse()
    got = answer.status, answer.read()
    connection.close()
    return got


@pytest.fixture
def draft(shared):
    return shared.dataset(filename="dataset.zip")


def place(api, dataset):
    return api.store.data / "uploads" / "default" / "default" / dataset["id"]


def status(api, dataset):
    return api("GET", f"/projects/default/datasets/{dataset['id']}/").json["status"]


def test_a_file_makes_a_draft_ready(shared, draft):
    """The second documented step: PUT the file to upload_url, without a key; then the dataset is ready."""
    assert draft["status"] == "draft"
    code, body = send(draft["upload_url"])
    assert code == 200 and b'"size":1048580' in body
    assert status(shared, draft) == "ready"
    assert place(shared, draft).read_bytes() == DATA
    assert place(shared, draft).stat().st_mode & 0o777 == 0o600
    row = shared("GET", "/audit/?action=datasets:upload").json["items"][0]
    assert row["detail"]["size"] == len(DATA) and row["actor"] == "upload-url"


def test_a_url_works_once(shared, draft):
    """The second PUT is told so, and leaves the file as it is."""
    send(draft["upload_url"])
    code, body = send(draft["upload_url"], b"other")
    assert code == 409 and b"upload_used" in body
    assert place(shared, draft).read_bytes() == DATA


def test_two_at_once_are_one(shared, draft):
    """Of simultaneous PUTs one is taken; the file is that one's, whole."""
    files = [bytes([number]) * 300_000 for number in range(8)]
    codes = []
    threads = [
        threading.Thread(target=lambda data=data: codes.append(send(draft["upload_url"], data)[0])) for data in files
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(codes) == [200] + [409] * 7
    assert place(shared, draft).read_bytes() in files
    assert not list((shared.store.data / "uploads").glob(".part-*"))


def test_a_new_upload_of_the_dataset_has_a_new_url(shared, draft):
    """PUT of the dataset makes it a draft again; the old URL is dead."""
    path = f"/projects/default/datasets/{draft['id']}/"
    again = shared("PUT", path, {"name": "again", "filename": "dataset.zip"}).json
    assert again["status"] == "draft" and again["upload_url"] != draft["upload_url"]
    assert send(draft["upload_url"])[0] == 409
    assert send(again["upload_url"])[0] == 200
    assert shared("PUT", path, {"name": "plain"}).json["upload_url"] is None


def test_forged_and_expired_urls(shared, draft, monkeypatch):
    """A URL that was changed, or is late, or whose dataset is gone, is not found."""
    url = draft["upload_url"]
    body, mac = url.rsplit("/", 1)[1].split(".")
    other = shared.dataset(filename="x.zip")["upload_url"].rsplit("/", 1)[1].split(".")[0]
    for ticket in (f"{other}.{mac}", f"{body}.{mac[:-2]}AA", f"{body}.", body, "x.y", f"{body}A.{mac}"):
        assert send(url.rsplit("/", 1)[0] + "/" + ticket)[0] == 404, ticket
    late = time.time() + uploads.LIFETIME + 1
    monkeypatch.setattr("store.api.uploads.time", type("Clock", (), {"time": staticmethod(lambda: late)}))
    assert send(url)[0] == 404
    monkeypatch.undo()
    shared("DELETE", f"/projects/default/datasets/{draft['id']}/")
    assert send(url)[0] == 404


def test_too_large_a_file(shared, draft, monkeypatch):
    """A file over the cap is refused while it streams, and nothing of it stays."""
    monkeypatch.setattr("store.api.uploads.MAX_FILE", 100_000)
    assert send(draft["upload_url"])[0] == 413
    assert status(shared, draft) == "draft"
    assert not list((shared.store.data / "uploads").glob(".part-*"))


def test_a_file_goes_with_its_dataset(shared, draft):
    """DELETE of the dataset removes the file."""
    send(draft["upload_url"])
    assert shared("DELETE", f"/projects/default/datasets/{draft['id']}/").status == 204
    assert not place(shared, draft).exists()


def test_a_transfer_that_breaks_leaves_a_draft(shared, draft):
    """A client that goes away in the middle leaves no file and a URL that still works."""
    parts = urlsplit(draft["upload_url"])
    head = f"PUT {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode()
    shared.send(head + DATA[:1000], wait=0.3)
    deadline = time.monotonic() + 10
    while list((shared.store.data / "uploads").glob(".part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert send(draft["upload_url"])[0] == 200
