"""SDKs of clouds, each with its own default credentials: where those come from is what `egret run` sets, and nothing else.

    with_identity.py google|azure|aws URL

Prints the status that the URL was answered with, and what the SDK holds as token or key id.
"""

import json
import sys

SCOPE = "https://vault.azure.net/.default"


def google(url):
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/devstorage.full_control"])
    return AuthorizedSession(credentials).get(url).status_code, credentials.token


def azure(url):
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy
    from azure.core.rest import HttpRequest
    from azure.identity import DefaultAzureCredential

    credential = DefaultAzureCredential()
    with PipelineClient(url, policies=[BearerTokenCredentialPolicy(credential, SCOPE)]) as client:
        return client.send_request(HttpRequest("GET", url)).status_code, credential.get_token(SCOPE).token


def aws(url):
    import boto3

    session = boto3.Session(region_name="us-east-1")
    answer = session.client("sts", endpoint_url=url).get_caller_identity()
    return answer["ResponseMetadata"]["HTTPStatusCode"], session.get_credentials().access_key


print(json.dumps(globals()[sys.argv[1]](sys.argv[2])))
