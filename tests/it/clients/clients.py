"""Reads event streams through clients as people use them, and prints what each of them got."""

import json
import sys

import httpx
import openai
import requests

base = sys.argv[1]
found = {}

client = openai.OpenAI(base_url=f"{base}/v1", api_key="any", max_retries=0)
found["openai responses"] = [event.type for event in client.responses.retrieve("resp_1", stream=True)]
chunks = client.chat.completions.create(
    model="any", messages=[{"role": "user", "content": "hello"}], stream=True
)
found["openai completions"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

for name, headers in {
    "no accept": {"Accept": None},
    "json": {"Accept": "application/json"},
    "html": {"Accept": "text/html"},
    "nothing": {"Accept": "*/*;q=0"},
}.items():
    given = {key: value for key, value in headers.items() if value}
    with httpx.stream("GET", f"{base}/text", headers=given) as answer:
        found[f"httpx {name}"] = [answer.status_code, list(answer.iter_lines())]
    with requests.get(f"{base}/text", headers=headers, stream=True) as answer:
        found[f"requests {name}"] = [answer.status_code, list(answer.iter_lines(decode_unicode=True))]

head = requests.head(f"{base}/text", headers={"Accept": "application/json"})
found["head"] = [head.status_code, head.headers["Content-Type"]]

for path in ["text-with-charset", "text-of-a-view"]:
    with requests.get(f"{base}/{path}", stream=True) as answer:
        found[path] = [answer.headers["Content-Type"], list(answer.iter_lines(decode_unicode=True))]

json.dump(found, sys.stdout)
