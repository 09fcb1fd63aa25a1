"""python-ntfy publishes. See outcome.py for the argument. It checks the answers too."""
import datetime
import os

from python_ntfy import NtfyClient

from outcome import report, settings

View, Http, Broadcast = NtfyClient.ViewAction, NtfyClient.HttpAction, NtfyClient.BroadcastAction
for variable in ("NTFY_SERVER", "NTFY_USER", "NTFY_PASSWORD", "NTFY_TOKEN"):
    os.environ.pop(variable, None)
below = f"http://{settings['below']}/msg"
root = f"http://{settings['root']}"
later = datetime.datetime.now() + datetime.timedelta(hours=1)
file, picture = settings["folder"] + "/notes.txt", settings["folder"] + "/picture.png"
with open(file, "w", encoding="utf-8") as text_file:
    text_file.write("Some notes\n")
with open(picture, "wb") as binary_file:
    binary_file.write(b"\x89PNG\r\n\x1a\n\x00")


def send(text, server=below, auth=settings["ntfy"], method="send", **options):
    def call():
        client = NtfyClient("mytopic", server, auth)
        answer = getattr(client, method)(text, **options)
        assert answer["event"] == "message" and answer["topic"] == "mytopic", answer
        assert isinstance(answer["id"], str) and isinstance(answer["time"], int) and isinstance(answer["expires"], int), answer
        if method == "send":
            assert answer["message"] == text, answer
        if options.get("title"):
            assert answer["title"] == options["title"], answer
    return call


report({
    "text": send("python-ntfy: a message"),
    "title, priority and tags": send("The disk is full.", title="A disk", priority=NtfyClient.MessagePriority.MAX, tags=["floppy_disk", "server"]),
    "not ASCII": send("Ärger: 5 € ✔\nzweite Zeile", title="Grüße"),
    "Markdown": send("**bold** and [a page](https://example.com/)", format_as_markdown=True),
    "actions": send("with actions", actions=[
        View("Open", "https://example.com/open"), Http("Close", "https://example.com/close", headers={"A": "b"}, body="{}"),
        Broadcast("Picture", extras={"cmd": "pic"})]),
    "user and password": send("with a password", auth=("me@example.com", settings["ntfy"])),
    "without a path": send("without a path", server=root),
    "a slash at the end": send("a slash at the end", server=below + "/"),
    "email": send("with an e-mail address", email="me@example.com"),
    "text file": send(file, method="send_file", title="A file"),
    "picture": send(picture, method="send_file"),
    "delay": send("later", schedule=later),
    "wrong token": send("with a wrong token", auth="wrong"),
})
