"""SDKs that sign with a key, or send a client's secret, to get a token: as their documentation has it.

    with_key.py google|gapic|identity|azure|oauth URL

Prints the status that the URL was answered with, and what the SDK holds as token.
"""

import json
import os
import sys

SCOPES = ["https://www.googleapis.com/auth/devstorage.read_only"]
VAULT = "https://vault.azure.net/.default"


def account():
    from google.oauth2 import service_account

    return service_account.Credentials.from_service_account_file(os.environ["EGRET_KEY_FILE_GCP"], scopes=SCOPES)


def asked(credentials, url):
    from google.auth.transport.requests import AuthorizedSession

    return AuthorizedSession(credentials).get(url).status_code, credentials.token


def google(url):
    return asked(account(), url)


def gapic(url):
    import requests
    from google.auth.transport.requests import Request

    credentials = account().with_always_use_jwt_access(True)
    credentials._create_self_signed_jwt("https://storage.googleapis.com/")
    headers = {}
    credentials.before_request(Request(), "GET", url, headers)
    return requests.get(url, headers=headers).status_code, len(credentials.token.split("."))


def identity(url):
    from google.oauth2 import service_account

    file = os.environ["EGRET_KEY_FILE_GCP_ID"]
    return asked(service_account.IDTokenCredentials.from_service_account_file(file, target_audience="https://x/"), url)


def azure(url):
    import requests
    from azure.identity import ClientSecretCredential

    credential = ClientSecretCredential("contoso.example", "0-1", "#{SECRETS.AZ}")
    token = credential.get_token(VAULT).token
    return requests.get(url, headers={"Authorization": f"Bearer {token}"}).status_code, token


def oauth(url):
    import requests

    form = {"grant_type": "client_credentials", "scope": "a"}
    at = os.environ["TOKEN_URL"]
    basic = requests.post(at, form, auth=("id", "#{SECRETS.OA}")).json()["access_token"]
    post = requests.post(at, form | {"client_id": "id", "client_secret": "#{SECRETS.OA}"}).json()["access_token"]
    return requests.get(url, headers={"Authorization": f"Bearer {post}"}).status_code, basic


print(json.dumps(globals()[sys.argv[1]](sys.argv[2])))
