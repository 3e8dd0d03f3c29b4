"""`egret serve` with an opening key that is wrapped by a passphrase: from a descriptor, for every process it starts."""

import os
import subprocess

import inside
from served import EGRET, Egret, code, wait_for

WORDS = b"correct horse battery staple"


def pipe() -> int:
    reading, writing = os.pipe()
    os.write(writing, WORDS + b"\n")
    os.close(writing)
    return reading


class Wrapped(Egret):
    """Wraps its key before it starts for the first time."""

    def start(self):
        words = pipe()
        inside.egret("keyring", "wrap", "--data", self.data, "--new-passphrase-fd", words)
        os.close(words)
        words = pipe()
        command = [EGRET, "serve", "--data", self.data, "--config", self.config, "--passphrase-fd", str(words)]
        with (self.folder / "serve.err").open("a") as errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True, pass_fds=[words]
            )
        os.close(words)
        line = self.process.stdout.readline()
        assert line.startswith("ready "), self.errors[-2000:]
        self.urls = dict(part.split("=", 1) for part in line.split()[1:])


def test_serving_with_a_wrapped_key(tmp_path):
    """Every process of the data plane reads the passphrase from one descriptor; values are injected, words nowhere."""
    with Wrapped(tmp_path) as egret:
        dataset = egret.dataset({"name": "KEY", "value": "sk-wrapped-8Hs2", "hosts": [egret.upstream.origin]})
        token = egret.session(dataset)["token"]
        wait_for(lambda: not code(egret.connect(token, egret.upstream.origin)[1]), "a fresh view of the store")
        egret.get(token, "/x", "X: #{SECRETS.KEY}")
        assert egret.upstream.log[-1].header("X") == b"sk-wrapped-8Hs2"
        assert WORDS.decode() not in egret.errors
