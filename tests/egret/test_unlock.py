"""egret.unlock: where a passphrase and a token come from, each read when it is needed."""

import os
import subprocess
import sys

import pytest

from egret.sections import Opening
from egret.unlock import share, unlock
from store.errors import KeyMismatch


def test_children_read_the_same_words(tmp_path):
    """Each process that inherits the descriptor reads all of it, one after the other, and after the first has ended."""
    descriptor = share(b"correct horse\n")
    code = f"from egret.unlock import *\nfrom egret.sections import Opening\nprint(unlock(Opening(), {descriptor}).passphrase())"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, pass_fds=[descriptor])
        assert done.stdout == "b'correct horse'\n", done.stderr
    os.close(descriptor)


def test_a_pipe_gives_its_words_once():
    """They are kept, and the end of the line does not count; a closed descriptor is told."""
    reading, writing = os.pipe()
    os.write(writing, b"correct horse\r\n")
    os.close(writing)
    found = unlock(Opening(), reading)
    assert [found.passphrase(), found.passphrase()] == [b"correct horse"] * 2
    os.close(reading)
    with pytest.raises(KeyMismatch, match="descriptor"):
        unlock(Opening(), reading).passphrase()


def test_files(tmp_path):
    """A passphrase and a token, read anew each time; files that others may read are refused."""
    words, token = tmp_path / "words", tmp_path / "token"
    found = unlock(Opening(passphrase_file=words, vault_token_file=token))
    with pytest.raises(KeyMismatch, match="cannot be read"):
        found.passphrase()
    words.write_text("correct horse\n")
    token.write_text("hvs.one\n")
    for file in (words, token):
        file.chmod(0o600)
    assert (found.passphrase(), found.vault_token()) == (b"correct horse", "hvs.one")
    token.write_text("hvs.two\n")
    assert found.vault_token() == "hvs.two"
    words.chmod(0o640)
    with pytest.raises(KeyMismatch, match="chmod 600"):
        found.passphrase()
    assert unlock(Opening()).passphrase is None
