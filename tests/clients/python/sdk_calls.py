"""`python sdk_calls.py CALL`: one call of an SDK, as its documentation shows it; prints what the API said.

Its credentials are what `egret run` sets, and nothing else; where they are given to the SDK, they are given here.
"""

import os
import sys

SAID = "said by the API"
"""What an object is uploaded with, and what every API says."""

SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
DOWNLOAD = "https://storage.googleapis.com/storage/v1/b/sdk-calls/o/there?alt=media"


def s3():
    import boto3

    client = boto3.client("s3", region_name="us-east-1")
    client.put_object(Bucket="sdk-calls", Key="a b/\u00fc", Body=SAID.encode())
    return client.get_object(Bucket="sdk-calls", Key="a b/\u00fc")["Body"].read().decode()


def presigned():
    import boto3
    import requests
    from botocore.config import Config

    client = boto3.client("s3", region_name="us-east-1", config=Config(signature_version="s3v4"))
    url = client.generate_presigned_url("get_object", Params={"Bucket": "sdk-calls", "Key": "there"}, ExpiresIn=60)
    return requests.get(url, timeout=60).text


def dynamodb():
    import json

    import boto3

    answer = boto3.client("dynamodb", region_name="us-east-1").get_item(TableName="t", Key={"k": {"S": SAID}})
    return json.loads(answer["Item"]["said"]["S"])["Key"]["k"]["S"]


def sqs():
    import boto3

    queue = "https://sqs.us-east-1.amazonaws.com/123456789012/q"
    return boto3.client("sqs", region_name="us-east-1").send_message(QueueUrl=queue, MessageBody=SAID) and SAID


def sts():
    import boto3

    return boto3.client("sts", region_name="us-east-1").get_caller_identity()["UserId"]


def role():
    import boto3

    sts = boto3.client("sts", region_name="us-east-1")
    key = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/x", RoleSessionName="egret")["Credentials"]
    parts = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    client = boto3.client("s3", region_name="us-east-1", aws_session_token=key["SessionToken"], **parts)
    return client.get_object(Bucket="sdk-calls", Key="there")["Body"].read().decode()


def storage():
    from google.cloud import storage

    return storage.Client().bucket("sdk-calls").blob("there").download_as_bytes().decode()


def storage_upload():
    from google.cloud import storage

    client = storage.Client.from_service_account_json(os.environ["EGRET_KEY_FILE_GCP"])
    blob = client.bucket("sdk-calls").blob("python")
    blob.upload_from_string(SAID)
    return blob.download_as_bytes().decode()


def discovery():
    from googleapiclient.discovery import build

    return build("storage", "v1").objects().get(bucket="sdk-calls", object="there").execute()["metadata"]["said"]


def google():
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=SCOPES)
    answer = AuthorizedSession(credentials).get(DOWNLOAD)
    answer.raise_for_status()
    return answer.text


def vault():
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient

    return SecretClient("https://myvault.vault.azure.net", DefaultAzureCredential()).get_secret("there").value


def blob():
    from azure.identity import ClientSecretCredential
    from azure.storage.blob import BlobServiceClient

    credential = ClientSecretCredential("contoso.example", "0-1", "#{SECRETS.AZ_STORAGE}")
    service = BlobServiceClient("https://myaccount.blob.core.windows.net", credential)
    client = service.get_blob_client("sdk-calls", "python")
    client.upload_blob(SAID.encode(), overwrite=True)
    return client.download_blob().readall().decode()


def msal():
    import msal
    import requests

    authority = "https://login.microsoftonline.com/contoso.example"
    app = msal.ConfidentialClientApplication("0-1", authority=authority, client_credential="#{SECRETS.AZ_GRAPH}")
    token = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get("https://graph.microsoft.com/v1.0/organization", headers=headers, timeout=60).json()["said"]


def github():
    from github import Auth, Github

    with open(os.environ["EGRET_STAND_IN_KEY"]) as file:
        app = Auth.AppAuth("#{SECRETS.GH_TOKEN}", file.read())
    return Github(auth=app.get_installation_auth(42)).get_repo("me/mine").description


def oauth():
    from oauthlib.oauth2 import BackendApplicationClient
    from requests_oauthlib import OAuth2Session

    session = OAuth2Session(client=BackendApplicationClient(client_id="client 7"))
    session.fetch_token(os.environ["TOKEN_URL"], client_id="client 7", client_secret="#{SECRETS.OA}")
    return session.get("https://api.test/who").json()["said"]


def openai():
    import openai

    return openai.OpenAI().models.list().data[0].id


def stripe():
    import stripe

    return stripe.StripeClient("#{SECRETS.STRIPE}").v1.balance.retrieve()["said"]


if __name__ == "__main__":
    print(globals()[sys.argv[1]]())
