"""`python asks.py CLIENT URL`: one request with a placeholder in its head, as the client's documentation shows it.

What it raises ends the program.
"""

import asyncio
import os
import sys
from urllib.parse import urlsplit

KEY = "#{SECRETS.KEY}"
HEADERS = {"X-Key": KEY}


def requests_(url):
    import requests

    requests.get(url, headers=HEADERS, timeout=30).raise_for_status()


def httpx_(url):
    import httpx

    httpx.get(url, headers=HEADERS).raise_for_status()


def urllib_(url):
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(url, headers=HEADERS)).read()


def urllib3_(url):
    import urllib3

    answer = urllib3.request("GET", url, headers=HEADERS, retries=False)
    if answer.status != 200:
        raise SystemExit(f"{answer.status} {answer.reason}")


def aiohttp_(url):
    import aiohttp

    async def get():
        async with aiohttp.ClientSession(trust_env=True, raise_for_status=True) as session:
            await session.get(url, headers=HEADERS)

    asyncio.run(get())


def http_client(url):
    import http.client

    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(parts.netloc)
    connection.request("GET", parts.path, headers=HEADERS)
    connection.getresponse().read()


def httplib2_(url):
    import httplib2

    httplib2.Http().request(url, headers=HEADERS)


def tornado_(url):
    from tornado.httpclient import AsyncHTTPClient, HTTPRequest

    async def get():
        await AsyncHTTPClient().fetch(HTTPRequest(url, headers=HEADERS))

    asyncio.run(get())


def treq_(url):
    import treq
    from twisted.internet.task import react

    async def get(_reactor):
        await treq.get(url, headers=HEADERS)

    react(get)


def niquests_(url):
    import niquests

    niquests.get(url, headers=HEADERS).raise_for_status()


def curl_cffi_(url):
    import curl_cffi

    curl_cffi.get(url, headers=HEADERS).raise_for_status()


def pycurl_(url):
    import pycurl

    asked = pycurl.Curl()
    asked.setopt(asked.URL, url)
    asked.setopt(asked.HTTPHEADER, [f"X-Key: {KEY}"])
    asked.perform()


def fsspec_(url):
    import fsspec

    fsspec.filesystem("https", client_kwargs={"headers": HEADERS}).cat(url)


def dulwich_(url):
    from dulwich import porcelain

    porcelain.ls_remote(url, username="x", password=KEY)


def openai_(url):
    import openai

    openai.OpenAI(api_key=KEY, base_url=url, max_retries=0).models.list()


def anthropic_(url):
    import anthropic

    anthropic.Anthropic(api_key=KEY, base_url=url, max_retries=0).models.list()


def mistralai_(url):
    from mistralai.client import Mistral

    Mistral(api_key=KEY, server_url=url).models.list()


def google_genai(url):
    from google import genai

    client = genai.Client(api_key=KEY, http_options={"base_url": url})
    list(client.models.list())


def google_auth(url):
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2.credentials import Credentials

    AuthorizedSession(Credentials(token=KEY)).get(url).raise_for_status()


def huggingface_hub_(url):
    from huggingface_hub import HfApi

    HfApi(endpoint=url, token=KEY).whoami()


def azure_core(url):
    from azure.core import PipelineClient
    from azure.core.credentials import AzureKeyCredential
    from azure.core.pipeline.policies import AzureKeyCredentialPolicy
    from azure.core.rest import HttpRequest

    policy = AzureKeyCredentialPolicy(AzureKeyCredential(KEY), "X-Key")
    PipelineClient(url, policies=[policy]).send_request(HttpRequest("GET", url)).raise_for_status()


def boto3_(url):
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(signature_version=UNSIGNED, retries={"max_attempts": 0}, s3={"addressing_style": "path"})
    endpoint = f"https://{urlsplit(url).netloc}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="eu-1", config=config)
    client.get_object(Bucket="bucket", Key=KEY)


def bedrock(url):
    """boto3 with a key of Bedrock's, which signs nothing."""
    import boto3

    os.environ["AWS_BEARER_TOKEN_BEDROCK"] = KEY
    client = boto3.client("bedrock-runtime", endpoint_url=url, region_name="eu-central-1")
    client.converse(modelId="model", messages=[{"role": "user", "content": [{"text": "hello"}]}])


def stripe_(url):
    import stripe

    stripe.StripeClient(KEY, base_addresses={"api": url}).v1.balance.retrieve()


def slack_sdk_(url):
    from slack_sdk import WebClient

    WebClient(token=KEY, base_url=f"{url}/").api_test()


def pygithub(url):
    from github import Auth, Github

    print(Github(auth=Auth.Token(KEY), base_url=url, retry=None).get_user().login)


def twilio_(url):
    from twilio.http.http_client import TwilioHttpClient

    TwilioHttpClient().request("GET", url, auth=("AC123", KEY))


def elasticsearch_(url):
    from elasticsearch import Elasticsearch

    Elasticsearch(url, api_key=KEY, max_retries=0).info()


def hvac_(url):
    import hvac

    hvac.Client(url=url, token=KEY).sys.read_leader_status()


def websockets_(url):
    from websockets.sync.client import connect

    connect(url.replace("https", "wss"), additional_headers=HEADERS)


def websocket_client(url):
    import websocket

    websocket.create_connection(url.replace("https", "wss"), header=HEADERS).close()


def grpc_(url):
    import grpc

    with grpc.secure_channel(urlsplit(url).netloc, grpc.ssl_channel_credentials()) as channel:
        channel.unary_unary("/a.B/C")(b"", metadata=[("x-key", KEY)], timeout=60)


if __name__ == "__main__":
    programs = globals()
    (programs.get(f"{sys.argv[1]}_") or programs[sys.argv[1]])(sys.argv[2])
