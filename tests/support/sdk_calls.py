"""Calls of SDKs that egret makes credentials for, or writes them into: what works under `egret run` as its documentation has it.

`tests/e2e/test_sdk_calls.py` makes them all; docs/sdks.md has this list as a table, and a test compares.
"""

from dataclasses import dataclass
from pathlib import Path

CLIENTS = Path(__file__).parents[1] / "clients"
NODE = CLIENTS / "node"


@dataclass(frozen=True)
class Call:
    """One call: `gives` is what its documentation has one write for its credentials. `how` runs it."""

    sdk: str
    call: str
    kind: str
    gives: str
    how: str
    """`python NAME` or `node NAME`, of the programs in tests/clients; or a command line."""

    @property
    def name(self) -> str:
        return f"{self.sdk}, {self.call}"

    def needs(self) -> str:
        """The system program that it needs."""
        first = self.how.split()[0]
        return "" if first in {"python", "aws"} else first

    def words(self, python: Path) -> list[str]:
        """What to run; `python` is the interpreter that has clients.txt."""
        first, *rest = self.how.split()
        if first == "python":
            return [str(python), str(CLIENTS / "python" / "sdk_calls.py"), *rest]
        if first == "node":
            return ["node", str(NODE / "sdk_calls.cjs"), *rest]
        program = str(python.with_name("aws")) if first == "aws" else first
        return [program, *rest]


DEFAULT = "nothing: its default credentials"
KEY_FILE = "the key file `EGRET_KEY_FILE_GCP`"
APP = "app id `#{SECRETS.GH_TOKEN}`, the key in the file `EGRET_STAND_IN_KEY`"

CALLS = (
    Call("boto3", "S3 put_object, get_object", "aws", DEFAULT, "python s3"),
    Call("boto3", "S3 presigned URL", "aws", DEFAULT, "python presigned"),
    Call("boto3", "DynamoDB get_item", "aws", DEFAULT, "python dynamodb"),
    Call("boto3", "SQS send_message", "aws", DEFAULT, "python sqs"),
    Call("boto3", "STS get_caller_identity", "aws", DEFAULT, "python sts"),
    Call("boto3", "STS assume_role, S3 get_object", "aws", "its default credentials, then what assume_role gave", "python role"),
    Call("AWS CLI", "s3 cp", "aws", DEFAULT, "aws s3 cp s3://sdk-calls/there -"),
    Call("AWS CLI", "sts get-caller-identity", "aws", DEFAULT, "aws sts get-caller-identity --query UserId --output text"),
    Call("AWS SDK for JavaScript", "S3 PutObject, GetObject", "aws", DEFAULT, "node s3"),
    Call("AWS SDK for JavaScript", "DynamoDB GetItem", "aws", DEFAULT, "node dynamodb"),
    Call("AWS SDK for JavaScript", "fromTemporaryCredentials, S3 GetObject", "aws", DEFAULT, "node role"),
    Call("rclone (AWS SDK for Go)", "cat", "aws", "`--s3-env-auth`", "rclone cat --s3-provider=AWS --s3-env-auth --s3-region=us-east-1 :s3:sdk-calls/there"),
    Call("google-cloud-storage", "download_as_bytes", "gcp_service_account", DEFAULT, "python storage"),
    Call("google-cloud-storage", "upload_from_string", "gcp_service_account", KEY_FILE, "python storage_upload"),
    Call("google-api-python-client", "storage objects.get", "gcp_service_account", DEFAULT, "python discovery"),
    Call("google-auth", "AuthorizedSession.get", "gcp_service_account", DEFAULT, "python google"),
    Call("@google-cloud/storage", "file.download", "gcp_service_account", DEFAULT, "node storage"),
    Call("@google-cloud/storage", "file.save", "gcp_service_account", KEY_FILE, "node storage_upload"),
    Call("google-auth-library", "request", "gcp_service_account", KEY_FILE, "node google"),
    Call("azure-keyvault-secrets", "get_secret", "azure_client", DEFAULT, "python vault"),
    Call("azure-storage-blob", "upload_blob, download_blob", "azure_client", "`ClientSecretCredential`, the secret `#{SECRETS.AZ_STORAGE}`", "python blob"),
    Call("msal", "acquire_token_for_client, Graph", "azure_client", "client secret `#{SECRETS.AZ_GRAPH}`", "python msal"),
    Call("@azure/keyvault-secrets", "getSecret", "azure_client", DEFAULT, "node vault"),
    Call("@azure/storage-blob", "upload, download", "azure_client", "`ClientSecretCredential`, the secret `#{SECRETS.AZ_STORAGE}`", "node blob"),
    Call("@octokit/rest", "repos.get", "github_app", APP, "node octokit"),
    Call("PyGithub", "get_repo", "github_app", APP, "python github"),
    Call("gh", "api", "github_app", "nothing: `GH_TOKEN` is the secret's name", "gh api repos/me/mine --jq .description"),
    Call("requests-oauthlib", "BackendApplicationClient", "oauth2_client", "client secret `#{SECRETS.OA}`", "python oauth"),
    Call("openai (Python)", "models.list", "static", "nothing: `OPENAI_API_KEY` is the secret's name", "python openai"),
    Call("anthropic (Node)", "models.list", "static", "nothing: `ANTHROPIC_API_KEY` is the secret's name", "node anthropic"),
    Call("stripe (Python)", "balance.retrieve", "static", "API key `#{SECRETS.STRIPE}`", "python stripe"),
    Call("stripe (Node)", "balance.retrieve", "static", "API key `#{SECRETS.STRIPE}`", "node stripe"),
)  # fmt: skip
