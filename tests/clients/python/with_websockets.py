"""websockets takes the proxy from the environment."""

import os

from websockets.sync.client import connect

url = os.environ["WS"] + "/stream?token=%23%7BSECRETS.API_TOKEN%7D"
with connect(url, additional_headers={"X-Other": "#{SECRETS.OTHER}"}, open_timeout=60) as socket:
    socket.send("say #{SECRETS.MESSAGE}")
    print(socket.recv(timeout=60))
