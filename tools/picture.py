#!/usr/bin/python3
"""picture.py FILE.svg PYTHON FOLDER: draws the pictures of the documentation from a real run.

It posts each payload of `SHOWN` to a Prosody, and draws the messages that a client receives as a chat, in FILE.svg. Then it runs
browser.py with PYTHON, which needs the libraries of browser.py, and makes pictures of the page in FOLDER. Environment: as in
spec/support/world.py.
"""
import asyncio
import html
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, f"{ROOT}/spec/support")
import world  # noqa: E402

SHOWN = ["alertmanager/group", "alertmanager/resolved", "github/pull_request-opened", "gitlab/pipeline-failed", "uptime-kuma/down",
         "ntfy/urgent"]
WIDTH, LINE, COLUMNS = 760, 20, 84
STYLE = """text { font: 14px sans-serif; fill: #1f2328 } .name { font-weight: bold; font-size: 12px; fill: #57606a }
.sheet { fill: #eef1f4 } .bubble { fill: #ffffff } .link { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .name { fill: #9198a1 } .sheet { fill: #0d1117 } .bubble { fill: #212830 } .link { fill: #4493f8 }
}"""


def request(case):
    """Returns the bytes of a request that posts the payload of a template's case."""
    with open(f"{ROOT}/templates/{case}.case", encoding="utf-8") as file:
        head, rest = file.read().split("\n\n", 1)
    headers = [line for line in head.splitlines() if not line.startswith("#")]
    body = rest.split("\n=> ")[0].encode()
    if not any(line.lower().startswith("content-type") for line in headers):
        headers.append("Content-Type: application/json")
    lines = [f"POST /msg/user?as={case.split('/')[0]} HTTP/1.1", "Host: example.com",
             "Authorization: Basic " + world.encode(b"alerts@example.com:secret"), f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def messages():
    """Returns the bodies of the messages that arrive, in order."""
    server = world.Server({"example.com": {"accounts": {"alerts": "secret", "user": "secret"}}})
    try:
        await server.start()
        client = world.Client("user@example.com", "secret")
        await client.login(server.c2s_port)
        found = []
        for case in SHOWN:
            answer = (await asyncio.to_thread(world.http, server.http_port, request(case)))[0]
            if answer["status"] != 200:
                raise world.Trouble(f"{case}: {answer}")
            found.append(html.unescape(re.search(r"<body>(.*?)</body>", (await client.receive()).decode(), re.S)[1]))
        return found
    finally:
        await server.stop()


async def page(python, folder):
    """Makes pictures of the page, in a browser."""
    server = world.Server({"example.com": {"accounts": {"me": "mypassword", "user": "secret"}}})
    try:
        await server.start()
        browser = await asyncio.create_subprocess_exec(python, f"{ROOT}/spec/support/browser.py", str(server.http_port), "pictures", folder,
                                                       stdout=asyncio.subprocess.DEVNULL)
        if await browser.wait():
            raise world.Trouble("no pictures of the page")
    finally:
        await server.stop()


def draw(bodies):
    """Returns the chat as SVG."""
    parts, y = [], 16
    for body in bodies:
        lines = [line if len(line) <= COLUMNS else line[:COLUMNS - 1] + "…" for line in body.splitlines()]
        height = LINE * (len(lines) + 1) + 14
        parts.append(f'<rect class="bubble" x="16" y="{y}" width="{WIDTH - 32}" height="{height}" rx="10"/>')
        parts.append(f'<text class="name" x="30" y="{y + 20}">alerts@example.com</text>')
        for number, line in enumerate(lines, 1):
            kind = ' class="link"' if re.match(r"https?://", line) else ""
            parts.append(f'<text{kind} x="30" y="{y + 20 + LINE * number}">{html.escape(line)}</text>')
        y += height + 12
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 4}" viewBox="0 0 {WIDTH} {y + 4}" role="img">\n'
            f"<title>Messages of other programs in a chat</title>\n<style>\n{STYLE}\n</style>\n"
            f'<rect class="sheet" width="{WIDTH}" height="{y + 4}" rx="12"/>\n' + "\n".join(parts) + "\n</svg>\n")


def main():
    try:
        bodies = asyncio.run(messages())
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            file.write(draw(bodies))
        asyncio.run(page(*sys.argv[2:]))
    except world.Trouble as trouble:
        sys.exit(f"picture: {trouble}")


if __name__ == "__main__":
    main()
