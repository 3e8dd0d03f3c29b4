"""`python refused.py CLIENT URL`: one request, as the client's documentation shows it; what it raises ends the program."""

import asyncio
import sys
from urllib.parse import urlsplit


def requests_(url):
    import requests

    requests.get(url, timeout=30).raise_for_status()


def httpx_(url):
    import httpx

    httpx.get(url).raise_for_status()


def urllib_(url):
    import urllib.request

    urllib.request.urlopen(url).read()


def urllib3_(url):
    import urllib3

    answer = urllib3.request("GET", url, retries=False)
    if answer.status != 200:
        raise SystemExit(f"{answer.status} {answer.reason}")


def aiohttp_(url):
    import aiohttp

    async def get():
        async with aiohttp.ClientSession(trust_env=True, raise_for_status=True) as session:
            await session.get(url)

    asyncio.run(get())


def openai_(url):
    import openai

    openai.OpenAI(api_key="x", base_url=url, max_retries=0).models.list()


def anthropic_(url):
    import anthropic

    anthropic.Anthropic(api_key="x", base_url=url, max_retries=0).models.list()


def boto3_(url):
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(signature_version=UNSIGNED, retries={"max_attempts": 0}, s3={"addressing_style": "path"})
    endpoint = f"https://{urlsplit(url).netloc}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="eu-1", config=config)
    client.get_object(Bucket="bucket", Key="#{SECRETS.KEY}")


def websockets_(url):
    from websockets.sync.client import connect

    connect(url.replace("https", "wss"))


def grpc_(url):
    import grpc

    with grpc.secure_channel(urlsplit(url).netloc, grpc.ssl_channel_credentials()) as channel:
        channel.unary_unary("/a.B/C")(b"", metadata=[("x-key", "#{SECRETS.KEY}")], timeout=60)


if __name__ == "__main__":
    globals()[f"{sys.argv[1]}_"](sys.argv[2])
