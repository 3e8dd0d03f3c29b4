"""What somebody needs in the first ten minutes, against a real server: who, where, which, and the folder's default."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from served import EGRET, free_ports, wait_for

VALUE = "sk-steps-7Yc2Nf4Ld9Wq"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A user's own folders: what `egret use` keeps is not the developer's."""
    folder = tmp_path_factory.mktemp("home")
    return {"HOME": str(folder), **{f"XDG_{each}_HOME": str(folder / each) for each in ("CONFIG", "DATA", "STATE")}}


@pytest.fixture(scope="module")
def dataset(egret):
    egret.cli("dataset", "create", "steps")
    egret.cli("secret", "put", "API_TOKEN", "-d", "steps", "-H", egret.upstream.origin, input=VALUE)
    return "steps"


def fields(done) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


def test_status(egret):
    """The server, each part of it, and the key; 7 for one that does not answer, 4 for a key that is none."""
    done = fields(egret.cli("status"))
    assert done["server"] == egret.urls["admin"]
    assert {done[part] for part in ("database", "disk", "intake", "rows", "audit")} == {"ok"}
    assert (done["key"], done["permission"]) == ("owner", "owner")
    assert egret.cli("status", check=False, env={"EGRET_URL": "http://127.0.0.1:1"}).returncode == 7
    assert egret.cli("status", check=False, env={"EGRET_API_KEY": "egk_wrong"}).returncode == 4


def test_status_of_something_else(egret):
    """A server that is no Egret is a sentence."""
    done = egret.cli("status", check=False, env={"EGRET_URL": egret.plain.url})
    assert done.returncode != 0
    assert done.stderr.startswith("egret: ")
    assert "Traceback" not in done.stderr


def test_status_waits(egret):
    """With --wait it goes on asking while the server starts, or is not ready; without it 7 at once, with the part."""

    class Starting(BaseHTTPRequestHandler):
        looks = 0

        def do_GET(self):
            ready = self.path == "/readyz"
            Starting.looks += ready
            full = ready and Starting.looks < 4
            told = {
                "checks": {"disk": "nearly full" if full else "ok"},
                "name": "n",
                "permission": "owner",
                "expires_at": None,
            }
            body = json.dumps(told).encode()
            self.send_response(503 if full else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    (port,) = free_ports(1)
    environ = egret.environ | {"EGRET_URL": f"http://127.0.0.1:{port}", "EGRET_API_KEY": "egk_a_b"}
    waiting = subprocess.Popen([EGRET, "status", "--wait", "120"], env=environ, stdout=subprocess.PIPE, text=True)
    with ThreadingHTTPServer(("127.0.0.1", port), Starting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            done = egret.cli("status", check=False, env=environ)
            assert (done.returncode, "disk\tnearly full" in done.stdout, "not ready" in done.stderr) == (7, True, True)
            assert "disk\tok" in waiting.communicate(timeout=60)[0]
            assert (waiting.returncode, Starting.looks >= 4) == (0, True)
        finally:
            waiting.kill()
            server.shutdown()
            thread.join()


def test_whoami_with_few_rights(egret):
    """Every key may know itself, and no other."""
    made = json.loads(
        egret.cli("key", "create", "ci", "--permission", "restricted", "--action", "sessions:open", "--json").stdout
    )
    done = egret.cli("whoami", env={"EGRET_API_KEY": made["key"]})
    assert (fields(done)["name"], fields(done)["actions"]) == ("ci", "sessions:open")
    assert made["key"] not in done.stdout
    owner = fields(egret.cli("whoami"))["id"]
    assert egret.api("GET", f"/keys/{owner}", key=made["key"])[0] in {403, 404}


def test_projects(egret):
    """One is made with an id and is in the list."""
    assert fields(egret.cli("project", "create", "Second", "--id", "second"))["id"] == "second"
    assert [line.split("\t")[0] for line in egret.cli("project", "ls").stdout.splitlines()].count("second") == 1
    assert egret.cli("project", "create", "Again", "--id", "second", check=False).returncode == 6


def test_providers_need_no_server():
    """They come with the release; one that is unknown is 3."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith("EGRET_")}
    listed = subprocess.run([EGRET, "provider", "ls"], env=alone, capture_output=True, text=True, check=True).stdout
    assert "openai\theader\t*.api.openai.com,api.openai.com\n" in listed
    info = subprocess.run([EGRET, "provider", "info", "openai"], env=alone, capture_output=True, text=True, check=True)
    assert fields(info)["headers"] == "authorization,sec-websocket-protocol"
    assert subprocess.run([EGRET, "provider", "info", "x"], env=alone, capture_output=True).returncode == 3


def test_a_dataset_twice(egret, dataset):
    """The second time it says that it is there, and makes none."""
    done = egret.cli("dataset", "create", dataset, check=False)
    assert done.returncode == 6
    assert "there is a dataset of this name already" in done.stderr
    assert [line.split("\t")[1] for line in egret.cli("dataset", "ls").stdout.splitlines()].count(dataset) == 1


def test_a_folders_default(egret, dataset, home, tmp_path):
    """`egret use` writes it; commands there and below take it, what is named on the line comes first."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    cli = lambda *args, cwd=below, **kwargs: egret.cli(*args, cwd=cwd, env=home, **kwargs)  # noqa: E731
    assert cli("use", check=False).returncode == 3
    assert cli("use", "nobody", check=False).returncode == 3
    cli("use", dataset, cwd=tmp_path)
    assert fields(cli("use"))["from"] == str(tmp_path / ".egret")
    assert fields(cli("status"))["dataset"] == dataset
    assert cli("secret", "ls").stdout.startswith("API_TOKEN\t")
    assert cli("secret", "ls", "--project", "default").stdout == ""
    token = fields(cli("session", "open"))["token"]
    assert token.startswith("egs_")
    assert cli("run", "--sandbox", "off", "--", "sh", "-c", "echo $API_TOKEN").stdout == "#{SECRETS.API_TOKEN}\n"
    cli("use", "--none", cwd=tmp_path)
    assert cli("session", "ls", check=False).returncode == 2
    assert not (tmp_path / ".egret").exists()


def changed(file):
    file.write_text(json.dumps({"dataset": "another", "project": "default"}))


def linked(file):
    changed(file.with_name("other"))
    file.unlink()
    file.symlink_to("other")


@pytest.mark.parametrize("attack", [changed, linked, lambda file: file.unlink(), lambda file: file.write_text("{")])
def test_a_default_that_the_code_wrote(egret, dataset, home, tmp_path, attack):
    """A program in the folder changes, replaces or removes it: no value goes elsewhere, nor to the whole project."""
    cli = lambda *args, **kwargs: egret.cli(*args, cwd=tmp_path, env=home, **kwargs)  # noqa: E731
    cli("use", dataset)
    attack(tmp_path / ".egret")
    done = cli("secret", "put", "STOLEN", "-H", "api.example.com", input=VALUE, check=False)
    assert done.returncode == 1
    assert "egret use DATASET" in done.stderr
    listed = [egret.cli("secret", "ls", *where, cwd=home["HOME"]).stdout for where in ((), ("-d", dataset))]
    assert "STOLEN" not in "".join(listed)
    cli("secret", "ls", "-d", dataset)
    cli("use", dataset)
    assert cli("secret", "ls").stdout.startswith("API_TOKEN\t")
    assert not (tmp_path / ".egret").is_symlink()


def test_a_file_that_came_with_the_folder(egret, dataset, home, tmp_path):
    """One that was cloned or unpacked is not believed until the user says so."""
    (tmp_path / ".egret").write_text(json.dumps({"dataset": dataset, "project": "default"}) + "\n")
    assert egret.cli("secret", "ls", cwd=tmp_path, env=home, check=False).returncode == 1
    egret.cli("use", dataset, cwd=tmp_path, env=home)
    egret.cli("secret", "ls", cwd=tmp_path, env=home)


def test_an_env_file(egret, dataset, tmp_path):
    """Its variables are the command's; what looks like a credential, or is the dataset's, is not taken from it."""
    file = tmp_path / ".env"
    file.write_text(f"GREETING='hello world'\nOPENAI_API_KEY={VALUE}\nAPI_TOKEN={VALUE}\nEGRET_SECRETS=X\n")
    command = ("run", "--sandbox", "off", "-d", dataset, "--env-file", file, "--", "env")
    done = egret.cli(*command)
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert (seen["GREETING"], seen["API_TOKEN"]) == ("hello world", "#{SECRETS.API_TOKEN}")
    assert seen["EGRET_SECRETS"] == "API_TOKEN"
    assert "OPENAI_API_KEY" in done.stderr
    assert VALUE not in done.stdout + done.stderr
    assert VALUE in egret.cli(*command[:-2], "--keep-env", "OPENAI_API_KEY", "--", "env").stdout


@pytest.mark.parametrize("text", ["no assignment", "A-B=1", "A='open", "A=x\0y"])
def test_an_env_file_with_a_fault(egret, dataset, tmp_path, text):
    """The line's number, not its text; no session is opened."""
    before = egret.cli("session", "ls", "-d", dataset).stdout
    (tmp_path / ".env").write_text(f"OK=1\n{text}\n")
    done = egret.cli(
        "run", "--sandbox", "off", "-d", dataset, "--env-file", tmp_path / ".env", "--", "env", check=False
    )
    assert done.returncode == 1
    assert "line 2" in done.stderr
    assert text not in done.stderr
    assert egret.cli("session", "ls", "-d", dataset).stdout == before


def test_the_log_as_it_grows(egret, dataset):
    """Old records first, then each new one, once; Ctrl-C ends it without a word."""
    environ = egret.environ | {"EGRET_URL": egret.urls["admin"], "EGRET_API_KEY": egret.key, "PYTHONUNBUFFERED": "1"}
    tail = subprocess.Popen(
        [EGRET, "audit", "tail", "-n", "2"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        first = [tail.stdout.readline().split("\t") for _ in range(2)]
        assert int(first[0][0]) + 1 == int(first[1][0])
        egret.cli("project", "create", "Watched", "--id", "watched")
        lines = []
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not any("projects:write" in line for line in lines):
            lines.append(tail.stdout.readline())
        assert sum("projects:write" in line for line in lines) == 1
        assert len({line.split("\t")[0] for line in lines}) == len(lines)
        tail.send_signal(signal.SIGINT)
        assert tail.communicate(timeout=30)[1] == ""
        assert tail.returncode == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            tail.kill()


def test_completion():
    """Shells ask the command itself; what the docs say to write is understood."""

    def completed(words, at):
        environ = os.environ | {"_EGRET_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        return subprocess.run([EGRET], env=environ, capture_output=True, text=True, check=True).stdout.split()

    assert completed("egret se", 1) == ["plain,serve", "plain,secret", "plain,session"]
    assert "plain,--dataset" in completed("egret run --d", 2)
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run(
            [EGRET], env=os.environ | {"_EGRET_COMPLETE": f"{shell}_source"}, capture_output=True, text=True
        )
        assert "egret" in done.stdout, shell


def test_serve_says_what_is_where(egret):
    """On stderr, with the addresses of the ready line and within 80 columns; stdout is the ready line alone."""
    out = (egret.folder / "serve.out").read_text().splitlines()
    assert len(out) == 1
    wait_for(lambda: "Ctrl-C ends it." in egret.errors, "the last line")
    said = egret.errors
    for url in egret.urls.values():
        assert url in said
    assert f"data folder    {egret.data}" in said
    assert "egret run --dataset NAME -- COMMAND" in said
    assert egret.key not in said
    assert [
        line
        for line in said.splitlines()
        if line.startswith("egret: ") and len(line) > 80 and str(egret.data) not in line
    ] == []
