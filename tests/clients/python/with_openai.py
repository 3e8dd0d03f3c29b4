"""openai-python with a placeholder as its API key: one answer, one stream."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ["API"] + "/v1", api_key="#{SECRETS.API_TOKEN}", max_retries=0, timeout=60)
ask = {"model": "m", "messages": [{"role": "user", "content": "what does #{SECRETS.UNKNOWN} mean?"}]}
print(client.chat.completions.create(**ask).choices[0].message.content)
print("".join(chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**ask, stream=True)))
