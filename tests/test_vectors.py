"""The vectors themselves: complete, well-formed, and told about truly."""

import subprocess
import sys
from pathlib import Path

import pytest
import vectors

ROOT = Path(__file__).parents[1]


def test_the_page_has_the_table_of_the_vectors():
    """Printed by the command that it names."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "vector_table.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("surface", vectors.SURFACES)
def test_every_surface_has_vectors(surface):
    """Placeholders where they are injected, values where they come back."""
    assert [vector for vector in vectors.load() if vector.surface == surface]


def test_every_outcome_and_every_code_of_the_core_has_vectors():
    """So that none goes untried."""
    assert {vector.expect for vector in vectors.load()} == set(vectors.OUTCOMES)
    assert {vector.code for vector in vectors.load()} >= {
        "unknown_secret", "destination_not_allowed", "location_not_allowed", "value_not_encodable", "unsupported_encoding",
        "body_too_large", "expansion_too_large",
    }  # fmt: skip


def test_an_empty_folder_fails(tmp_path, monkeypatch):
    """Vectors that were moved away must not look like vectors that pass."""
    (tmp_path / "secrets.yaml").write_text("A: x")
    monkeypatch.setattr(vectors, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match="no vectors"):
        vectors.load.__wrapped__()


@pytest.mark.parametrize("fault", ["surprise: 1", "expect: perhaps", "surface: nowhere", "request: {bodi: x}"])
def test_a_malformed_vector_fails(fault, tmp_path, monkeypatch):
    """A misspelled key would otherwise test nothing."""
    (tmp_path / "secrets.yaml").write_text("A: x")
    (tmp_path / "x.yaml").write_text(
        f"vectors:\n  - {{id: x, surface: raw, expect: clean, {fault}}}".replace(
            "surface: raw, expect: clean, surface", "expect: clean, surface"
        ).replace("expect: clean, expect", "expect")
    )
    monkeypatch.setattr(vectors, "FOLDER", tmp_path)
    with pytest.raises(ValueError):
        vectors.load.__wrapped__()
