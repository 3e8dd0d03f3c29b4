"""anthropic with a placeholder as its API key: one message, one stream."""

import os

from anthropic import Anthropic

client = Anthropic(base_url=os.environ["API"], api_key="#{SECRETS.API_TOKEN}", max_retries=0, timeout=60)
ask = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
print(client.messages.create(**ask).content[0].text)
with client.messages.stream(**ask) as stream:
    print("".join(stream.text_stream))
