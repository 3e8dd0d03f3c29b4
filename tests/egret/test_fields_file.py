"""A file of header fields: read where nobody else can, and never quoted."""

import pytest

from egret.fields_file import read_fields
from egret.settings import SettingsError

CANARY = "canary-7Gq2"


def test_fields_are_read(tmp_path):
    path = tmp_path / "fields"
    path.write_text("Authorization: Bearer abc def\n\nX-Team:  ops  \n")
    path.chmod(0o600)
    assert read_fields(path, "otlp.headers_file") == {"Authorization": "Bearer abc def", "X-Team": "ops"}


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        (f"Authorization: {CANARY}", 0o644, "chmod 600"),
        (CANARY, 0o600, "needs lines such as"),
        (f"A b: {CANARY}", 0o600, "needs lines such as"),
        (f"A: {CANARY}\x07", 0o600, "needs lines such as"),
        (f"A: {CANARY}é", 0o600, "needs lines such as"),
        ("", 0o600, "needs lines such as"),
        (None, 0, "cannot be read"),
    ],
)
def test_what_is_no_such_file(tmp_path, text, mode, says):
    path = tmp_path / "fields"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(SettingsError) as caught:
        read_fields(path, "otlp.headers_file")
    assert says in str(caught.value)
    assert str(caught.value).startswith("otlp.headers_file: ")
    assert CANARY not in str(caught.value)
