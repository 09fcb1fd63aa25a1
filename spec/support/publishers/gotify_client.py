"""The gotify package creates messages and asks for the version. See outcome.py for the argument. It checks the answers too."""
import asyncio

import gotify

from outcome import report, settings

below = f"http://{settings['below']}/msg"
root = f"http://{settings['root']}"


def check(answer, text, title):
    assert isinstance(answer["id"], int) and isinstance(answer["appid"], int) and isinstance(answer["date"], str), answer
    assert answer["message"] == text and (not title or answer["title"] == title), answer


def create(text, server=below, token=settings["gotify"], **options):
    def call():
        sender = gotify.Gotify(base_url=server, app_token=token)
        check(sender.create_message(text, **options), text, options.get("title"))
    return call


def create_async():
    async def call():
        sender = gotify.AsyncGotify(base_url=below, app_token=settings["gotify"])
        check(await sender.create_message("gotify: not blocking"), "gotify: not blocking", None)
    asyncio.run(call())


def version():
    answer = gotify.Gotify(base_url=below, client_token=settings["gotify"]).get_version()
    assert isinstance(answer["version"], str), answer


report({
    "text": create("gotify: a message"),
    "title and priority": create("The disk is full.", title="A disk", priority=8),
    "not ASCII": create("Ärger: 5 € ✔\nzweite Zeile", title="Grüße"),
    "extras": create("**bold**", title="Extras", extras={
        "client::display": {"contentType": "text/markdown"},
        "client::notification": {"click": {"url": "https://example.com/click"}, "bigImageUrl": "https://example.com/cat.jpg"}}),
    "not blocking": create_async,
    "without a path": create("without a path", server=root),
    "a slash at the end": create("a slash at the end", server=below + "/"),
    "version": version,
    "wrong token": create("with a wrong token", token="wrong"),
})
