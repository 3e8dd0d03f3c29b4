"""requests takes proxy and bundle from the environment."""

import os

import requests

API = os.environ["API"]
QUERY = {"token": "#{SECRETS.API_TOKEN}"}
HEADERS = {"Authorization": "Bearer #{SECRETS.API_TOKEN}"}

for url, options in [
    ("/generate", {"params": QUERY}),
    ("/items", {"headers": HEADERS}),
    ("/both", {"params": QUERY, "headers": {**HEADERS, "X-Other": "#{SECRETS.OTHER}"}}),
]:
    response = requests.get(API + url, **options, timeout=60)
    print(response.status_code, response.text)
