"""The line protocol on a requests session, which keeps its connection."""

import os
import sys

import requests

session = requests.Session()
session.verify = os.environ["AG_CA"]
for line in sys.stdin:
    method, path, size = line.split()
    body = b"b" * int(size) or None
    try:
        answer = session.request(method, os.environ["AG_BASE"] + path, data=body, timeout=600)
        print("ok", answer.status_code, flush=True)
    except requests.RequestException as error:
        print("error", type(error).__name__, str(error).replace("\n", " "), flush=True)
