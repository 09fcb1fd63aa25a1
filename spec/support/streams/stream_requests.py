"""requests sends chunks if the body is a generator."""
import sys
import requests

session = requests.Session()
session.trust_env = False
session.headers["Authorization"] = f"Bearer {sys.argv[2]}"
for parts in [["x" * 10000] * 10, ["sm", "all"]] * 2:
    print(session.post(sys.argv[1], data=(part.encode() for part in parts)).status_code, end=" ")
