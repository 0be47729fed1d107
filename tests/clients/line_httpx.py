"""The line protocol on an httpx client with its default timeouts (5 s)."""

import os
import ssl
import sys

import httpx

context = ssl.create_default_context(cafile=os.environ["AG_CA"])
with httpx.Client(verify=context) as client:
    for line in sys.stdin:
        method, path, size = line.split()
        body = b"b" * int(size) or None
        try:
            answer = client.request(method, os.environ["AG_BASE"] + path, content=body)
            print("ok", answer.status_code, flush=True)
        except httpx.HTTPError as error:
            print("error", type(error).__name__, str(error).replace("\n", " "), flush=True)
