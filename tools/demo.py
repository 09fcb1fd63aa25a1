#!/usr/bin/python3
"""`make demo`: posts the README's first message to a temporary Prosody, and shows the message that a real client receives.

In a terminal, it continues to show messages until Ctrl-C. Otherwise, it ends after the first message; its exit status is 0 if the
text arrived unchanged. Environment: as in spec/support/world.py.
"""
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "spec", "support"))
from world import Server, Trouble  # noqa: E402

TEXT = "Server@host has just crashed!"
CURL = f'curl http://example.com:5280/msg/user -u me@example.com:mypassword -H "Content-Type: text/plain" -d "{TEXT}"'
HOSTS = {"example.com": {"accounts": {"me": "mypassword", "user": "another-password"}}}
MORE = """Try, in another terminal:

  {curl} {port}

  curl http://example.com:5280/msg/user -u me@example.com:mypassword --data-urlencode "body=Lunch & coffee?" -d type=headline {port}

  curl http://example.com:5280/msg -u me@example.com:mypassword -H "Content-Type: application/json" \\
    -d '{{"to": "user", "subject": "Backup", "body": "All is well."}}' {port}

  uptime | curl http://example.com:5280/msg/user -u me@example.com:mypassword -H "Content-Type: text/plain" --data-binary @- {port}

  curl -i http://example.com:5280/msg/nobody -u me@example.com:mypassword -H "Content-Type: text/plain" -d "Anybody there?" {port}
"""


def say(text=""):
    print(text, flush=True)


def show(raw):
    """Prints a message, and returns its text."""
    message = ET.fromstring(raw)
    text = message.findtext("body")
    say(f"  the stanza: {raw.decode()}")
    for part in ("subject", "body"):
        if message.findtext(part) is not None:
            say(f"  {message.get('from')} → {message.get('to')}, {part}: {message.findtext(part)}")
    say()
    return text


async def demonstrate(server):
    if not shutil.which("curl"):
        raise Trouble("curl is not installed (Debian: apt install curl)")
    await server.start()
    client = await server.login("user@example.com")
    say(f"Prosody {server.version} with mod_post_msg runs on 127.0.0.1, HTTP on port {server.http_port}, and user@example.com is logged in.\n")

    port = f"--connect-to ::127.0.0.1:{server.http_port}"
    line = f"{CURL} {port}"
    say(f"$ {line}\n")
    without_proxy = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = await asyncio.to_thread(subprocess.run, line + " -sS -w '%{http_code}'", shell=True, capture_output=True, text=True, env=without_proxy)
    if done.stdout != "201":
        raise Trouble(f"the answer is not 201 with an empty body: {done.stdout}{done.stderr}")
    say("HTTP 201. user@example.com receives:\n")
    if show(await client.receive()) != TEXT:
        raise Trouble("the text differs from the one that was sent")
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        return
    say(MORE.format(curl=CURL, port=port))
    say("Messages to user@example.com are shown here until Ctrl-C.\n")
    while True:
        show(await client.receive(timeout=float("inf")))


async def main():
    server = Server(HOSTS, level="info")
    task = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await demonstrate(server)
    except asyncio.CancelledError:
        task.uncancel()
        say("\nThe demo has ended, and has removed its files.")
        return 0 if sys.stdin.isatty() else 130
    except Trouble as trouble:
        print(f"demo: {trouble}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has closed the pipe
        return 1
    finally:
        await server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
