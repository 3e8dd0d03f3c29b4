"""A receiver of webhooks, which verifies each message."""

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = bytes(range(32))
TOKEN = "the-token-of-the-path"


class Receiver(ThreadingHTTPServer):
    """Takes messages, after a series of other answers. `rows` are those of messages that it answered with 2xx."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/{TOKEN}?a=b"
        self.answers, self.asked, self.rows = iter(()), [], []
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        checked(self.headers, body)
        assert self.path == f"/{TOKEN}?a=b"
        status = next(self.server.answers, 204)
        rows = json.loads(body)["data"]["rows"]
        self.server.asked.append((self.headers["webhook-id"], status, [row["seq"] for row in rows]))
        if status == 0:
            return  # hangs up
        if 200 <= status < 300:
            self.server.rows += rows
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def checked(fields, body):
    """As a receiver does it: https://github.com/standard-webhooks/standard-webhooks, "Verifying"."""
    signed = f"{fields['webhook-id']}.{fields['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert hmac.compare_digest(wanted, fields["webhook-signature"])
    assert abs(time.time() - int(fields["webhook-timestamp"])) < 300
