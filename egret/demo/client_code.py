"""The program that the demo runs and shows: ordinary code, with a placeholder where its token would be."""

import os
import urllib.request

request = urllib.request.Request(
    os.environ["DEMO_API"] + "/v1/items?key=%23%7BSECRETS.DEMO_TOKEN%7D",
    headers={"Authorization": "Bearer #{SECRETS.DEMO_TOKEN}"},
)
print(urllib.request.urlopen(request).read().decode())
