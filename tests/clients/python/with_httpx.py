"""httpx takes proxy and SSL_CERT_FILE from the environment."""

import os

import httpx

API = os.environ["API"]
QUERY = {"token": "#{SECRETS.API_TOKEN}"}
HEADERS = {"Authorization": "Bearer #{SECRETS.API_TOKEN}"}

with httpx.Client(timeout=60) as client:
    for url, options in [
        ("/generate", {"params": QUERY}),
        ("/items", {"headers": HEADERS}),
        ("/both", {"params": QUERY, "headers": {**HEADERS, "X-Other": "#{SECRETS.OTHER}"}}),
    ]:
        response = client.get(API + url, **options)
        print(response.status_code, response.text)
