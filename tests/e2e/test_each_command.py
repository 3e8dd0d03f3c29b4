"""Each command of the command line once, against a real store: what is asked is done, and nothing ends in a traceback.

The table is held against the tree of commands: a new one joins, or says where it is tried.
"""

import contextlib
import json
import sqlite3
from pathlib import Path

import click
from click.testing import CliRunner
from served import Egret, wait_for

from egret.cli.__main__ import main

VALUE = "sk-each-7Yt2Kd9Wq"

STORY = """
login {url}
status
whoami
trust-key
project create Lab --id lab
project ls
project info lab
project change lab --name Laboratory
org info default
org change default --name Us
dataset create each --json > dataset
dataset ls
dataset info each
dataset change each --host api.example.com
dataset disable each
dataset enable each
use each
secret put KEY -d each -H api.example.com < {value}
secret put KEY -d each -H api.example.com < {value}
secret ls -d each
budget set secret --name KEY --per day --hard 100 --soft 90 -d each
budget ls -d each
budget rm secret --name KEY --per day -d each
secret info KEY -d each
secret versions KEY -d each
secret change KEY -d each --description words
secret rename KEY RENAMED -d each
secret rename RENAMED KEY -d each
secret disable KEY -d each
secret enable KEY -d each
secret activate KEY 1 -d each
secret destroy KEY 2 -d each
var put REGION eu-1 -d each
var get REGION -d each
var rename REGION ZONE -d each
var rename ZONE REGION -d each
var ls -d each
var rm REGION -d each
kv put prod/url https://db.example -d each
kv get prod/url -d each
kv ls -d each
kv rm prod/url -d each
import {env} --format dotenv -d each -H api.example.com
export -d each --metadata
provider ls
provider info openai
member add Ada --id ada
member ls
member role ada developer
group create ops --id ops
group join ops ada
group grant ops -p metadata,use -d each
group ls
group leave ops ada
group grant ops -p none -d each
consumer declare plugin KEY
consumer ls
consumer rm plugin
session open -d each --json > session
session ls -d each
session revoke {session} -d each
key create ci --permission read_only --json > key
key change {key} --name cd
key ls
key sessions {key}
key rotate {key} --json > rotated
key create lost --permission read_only --json > lost
key report-leaked < {lost_key}
key revoke {rotated}
key create stolen --permission read_only --json > stolen
key compromised {stolen}
audit ls
audit ls --action secrets:write --dataset {dataset} --project default
audit export
audit export --outcome ok
audit export --data {data}
audit verify
(the store stops)
store repair --data {data}
(its log loses a row)
(the store starts)
login {url}
audit gaps --json > gap
audit acknowledge {gap} --note seen
keyring files --data {data}
keyring ls --data {data} --json > sealing
keyring rotate --data {data}
keyring reseal --data {data}
keyring retire {sealing} --data {data}
recovery create --data {data} > kit
recovery check --data {data} < {kit}
recovery seal --data {data}
backup {copy} --data {data}
key recover --data {data}
secret rm KEY -d each
dataset replace each --secrets {list}
group rm ops
member rm ada
dataset rm each --yes
logout
"""

ELSEWHERE = {
    "init": "e2e/test_serve.py", "serve": "e2e/test_serve.py", "store": "e2e/test_planes.py", "proxy": "e2e/test_planes.py",
    "gateway": "e2e/test_planes.py", "demo": "e2e/test_doctor.py", "doctor": "e2e/test_doctor.py", "install": "test_wheel.py",
    "run": "e2e/test_run.py", "secret test": "e2e/test_trial.py", "secret get": "e2e/test_cli.py", "audit tail": "e2e/test_first_steps.py", "keyring wrap": "store/keys/test_wrapping.py",
    "keyring unwrap": "store/keys/test_wrapping.py", "recovery restore": "egret/cli/test_recovery.py",
    "restore": "e2e/test_restore.py", "sidecar redirect": "e2e/test_sidecar.py", "sidecar serve": "e2e/test_sidecar.py", "trust-epoch": "e2e/test_restore.py",
}  # fmt: skip
"""Commands that need more than a running store, and the file that runs them."""


def commands(group: click.Group, path: tuple[str, ...] = ()):
    """Every command, as the words that name it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        words = (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, words)
            if command.invoke_without_command:
                yield words
        else:
            yield words


EVERY = set(commands(main))


def named(line: str) -> tuple[str, ...]:
    words = tuple(line.split())
    return max((each for each in EVERY if words[: len(each)] == each), key=len)


def test_the_table_has_every_command():
    """By the tree itself; and what is tried elsewhere is there."""
    told = {named(line) for line in STORY.strip().splitlines() if line[0] != "("}
    assert told | {tuple(words.split()) for words in ELSEWHERE} == EVERY
    for words, name in ELSEWHERE.items():
        assert f'"{words.split()[-1]}"' in (Path(__file__).parents[1] / name).read_text(), words


def test_each(tmp_path, monkeypatch):
    """In order, as one person would in an afternoon; each exits with 0 and shows no value."""
    (tmp_path / "server").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with Egret(tmp_path / "server") as egret:
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        for name, value in egret.environ.items():
            monkeypatch.setenv(name, value)
        found = {"url": egret.urls["admin"], "value": VALUE, "data": str(egret.data), "copy": str(tmp_path / "copy.db")}
        for name, text in (("env", f"FROM_ENV={VALUE}\n"), ("list", json.dumps([]))):
            (tmp_path / name).write_text(text)
            found[name] = str(tmp_path / name)
        for line in STORY.strip().splitlines():
            told, _, keep = line.partition(" > ")
            told, _, typed = told.partition(" < ")
            typed = typed.format(**found) if typed else egret.key if told.startswith("login") else None
            if line[0] == "(":
                {"(the store stops)": Egret.stop, "(its log loses a row)": lose_a_row}.get(line, begin_again)(egret)
                found["url"] = egret.urls["admin"]
                continue
            done = CliRunner().invoke(main, told.format(**found).split(), input=typed)
            assert done.exception is None or isinstance(done.exception, SystemExit), (line, done.exc_info)
            assert done.exit_code == 0, (line, done.output)
            assert VALUE not in done.output
            if keep:
                document = json.loads(done.stdout) if "--json" in told else {"id": done.stdout}
                document = document[0] if isinstance(document, list) else document
                found |= {keep: document.get("id", document.get("kid")), f"{keep}_key": document.get("key")}


def lose_a_row(egret):
    with contextlib.closing(sqlite3.connect(egret.data / "egret.db")) as database, database:
        database.execute("DELETE FROM audit WHERE seq = (SELECT max(seq) - 1 FROM audit)")


def begin_again(egret):
    egret.start()
    wait_for(lambda: egret.api("GET", "/audit/gaps/")[1]["items"], "the store to miss the row")
