"""Presets: each is valid, bound, and in the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from store.model import Location
from store.providers import find_provider, load_providers

ROOT = Path(__file__).parents[2]
NAMED = ["openai", "anthropic", "github", "gitlab", "huggingface", "aws", "gcp", "azure", "stripe", "slack", "cohere",
         "mistral", "google-ai", "datadog", "sendgrid", "twilio"]  # fmt: skip


@pytest.mark.parametrize("name", sorted(load_providers()))
def test_a_preset_is_tight(name):
    """TLS only, named headers only, and never in a body or message, where an API could be talked into transforming it."""
    preset = find_provider(name, "")
    assert preset.rules
    for rule in preset.rules:
        assert rule.secure
        assert rule.port == 443
        assert rule.headers
    assert not {Location.BODY, Location.MESSAGE} & set(preset.locations)


def test_the_promised_names_are_there():
    """Those of the documentation."""
    assert set(NAMED) <= set(load_providers())


def test_the_file_is_in_the_wheel(tmp_path):
    """An installed package finds its presets without a checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "store/providers.yaml" in names
    assert "store/database/migrations/env.py" in names
    assert any(name.startswith("store/database/migrations/versions/0001") for name in names)
