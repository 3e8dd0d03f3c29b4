"""The standard library."""

import os
import urllib.parse
import urllib.request

API = os.environ["API"]
QUERY = "?" + urllib.parse.urlencode({"token": "#{SECRETS.API_TOKEN}"})
HEADERS = {"Authorization": "Bearer #{SECRETS.API_TOKEN}"}

for url, headers in [
    ("/generate" + QUERY, {}),
    ("/items", HEADERS),
    ("/both" + QUERY, {**HEADERS, "X-Other": "#{SECRETS.OTHER}"}),
]:
    with urllib.request.urlopen(urllib.request.Request(API + url, headers=headers), timeout=60) as response:
        print(response.status, response.read().decode())
