"""Asks a completions server, through the official client, for all that it can answer."""

import asyncio
import json
import sys

import openai

ASKED = {"model": "canned", "messages": [{"role": "user", "content": "What is a bocadillo?"}]}
base_url = sys.argv[1]
client = openai.OpenAI(base_url=base_url, api_key="any", max_retries=0)
found = {}

found["whole"] = client.chat.completions.create(**ASKED).choices[0].message.content

chunks = list(client.chat.completions.create(**ASKED, stream=True))
found["streamed"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
found["finish"] = chunks[-1].choices[0].finish_reason


def refused(**changes):
    try:
        client.chat.completions.create(**(ASKED | changes))
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code]


found["no such model"] = refused(model="gpt-0")
found["no messages"] = refused(messages=[], stream=True)
found["another shape"] = refused(messages="hello", stream=True)

read = ""
try:
    for chunk in client.chat.completions.create(**(ASKED | {"model": "canned-broken"}), stream=True):
        read += chunk.choices[0].delta.content or ""
except openai.APIError as error:
    found["broken off"] = [type(error).__name__, read, error.message]


async def asynchronously():
    client = openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0)
    stream = await client.chat.completions.create(**ASKED, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


found["async"] = asyncio.run(asynchronously())
json.dump(found, sys.stdout)
