"""`egret run` leads SDKs of clouds to the identity endpoints: their default credentials are placeholders."""

import json
import re
import sys
from pathlib import Path

import pytest
from clouds import VALUES
from draw import Draw

pytestmark = pytest.mark.needs("bwrap", "nft")

KEY = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": Draw("identity").letters(40)}
SECRETS = [
    {"name": "GCP", "kind": "gcp_service_account", "value": json.dumps(VALUES["gcp_service_account"]), "parameters": {"scope": "a"}, "hosts": ["storage.googleapis.com"]},
    {"name": "AZURE", "kind": "azure_client", "value": json.dumps(VALUES["azure_client"]), "parameters": {"scope": "https://vault.azure.net/.default"}, "hosts": ["x.vault.azure.net"]},
    {"name": "KEY", "kind": "aws", "value": json.dumps(KEY), "hosts": ["sts.us-east-1.amazonaws.com"]},
]  # fmt: skip
SAID = "#{SECRETS.KEY} #{SECRETS.GCP} #{SECRETS.AZURE}"
PAGE = Path(__file__).parents[2] / "docs" / "identity-endpoints.md"
NODE = Path(__file__).parents[1] / "clients" / "node"


@pytest.fixture(scope="module")
def dataset(egret):
    return egret.dataset(*SECRETS, name="clouds")


@pytest.fixture
def run(egret, dataset):
    def run(*words):
        done = egret.cli("run", "--dataset", "clouds", "--sandbox", "require", *words, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip()

    return run


def test_default_credentials(run):
    """boto3, google-auth and azure-identity find them in the sandbox by themselves: the page's example."""
    (code,) = re.findall(r"(?ms)^```python\n(.*?)^```", PAGE.read_text())
    said = run("--", sys.executable, "-c", code)
    assert said == SAID and code.rstrip().endswith(f"# {SAID}")


@pytest.mark.needs("node")
def test_default_credentials_of_javascript(run):
    """So do their namesakes of Node."""
    if not (NODE / "node_modules/@azure/identity").exists():
        pytest.skip("needs the packages of tests/clients/node: run tools/system-parts")
    assert run("--share", NODE, "--", "node", NODE / "identity.cjs") == SAID


KEYS = """
import json, os
from cryptography.hazmat.primitives.serialization import load_pem_private_key
file = json.load(open(os.environ["EGRET_KEY_FILE_GCP"]))
assert file["private_key"] == open(os.environ["EGRET_STAND_IN_KEY"]).read()
print(load_pem_private_key(file["private_key"].encode(), None).key_size, file["client_email"], file["token_uri"])
"""


def test_stand_in_keys(run):
    """In the sandbox there is a key to sign with, and a key file for each account, new in each run."""
    said = run("--", sys.executable, "-c", KEYS)
    assert said == "2048 #{SECRETS.GCP} https://oauth2.googleapis.com/token"
    assert run("--", "sh", "-c", 'cat "$EGRET_STAND_IN_KEY"') != run("--", "sh", "-c", 'cat "$EGRET_STAND_IN_KEY"')
