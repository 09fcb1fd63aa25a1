"""Apprise notifies by URLs of ntfy and Gotify. See outcome.py for its argument.

Apprise accepts no path in an ntfy:// URL and posts JSON to `/`, so that only a server without a path can take it.
"""
import apprise

from outcome import report, settings

ntfy, gotify = settings["ntfy"], settings["gotify"]
root, root_tls, below, below_tls = (settings[name] for name in ("root", "root_tls", "below", "below_tls"))
apprise.AppriseAsset.async_mode = False


def notify(url, title="A title", text=None, **options):
    def call():
        sender = apprise.Apprise()
        # Apprise waits some seconds between two messages of one URL.
        if not sender.add(url):
            return False
        for server in sender:
            server.request_rate_per_sec = 0
        return sender.notify(title=title, body=text or f"{name_of(url)} of apprise", **options)
    return call


def name_of(url):
    return url.split(":")[0]


file = settings["folder"] + "/backup.log"
with open(file, "w", encoding="utf-8") as log:
    log.write("A line of a log\n")

report({
    "ntfy": notify(f"ntfy://{root}/mytopic?token={ntfy}"),
    "ntfy, user and password": notify(f"ntfy://me%40example.com:{ntfy}@{root}/mytopic", text="with a password"),
    "ntfy, no user": notify(f"ntfy://{ntfy}@{root}/mytopic?auth=token", title="", text="without a title"),
    "ntfys": notify(f"ntfys://{root_tls}/mytopic?token={ntfy}&verify=no"),
    "ntfy, parameters": notify(
        f"ntfy://{root}/mytopic?token={ntfy}&priority=max&xtags=warning,backup%20server&click=https://example.com/click"
        "&actions=view,%20Open,%20https://example.com/open&email=me@example.com&avatar_url=https://example.com/icon.png", text="with parameters"),
    "ntfy, Markdown": notify(f"ntfy://{root}/mytopic?token={ntfy}&format=markdown", text="with **Markdown**", body_format="markdown"),
    "ntfy, attachment by URL": notify(f"ntfy://{root}/mytopic?token={ntfy}&attach=https://example.com/cat.jpg", text="with an attachment"),
    "ntfy, two topics": notify(f"ntfy://{root}/mytopic/othertopic?token={ntfy}", text="to two topics"),
    "ntfy, not ASCII": notify(f"ntfy://{root}/mytopic?token={ntfy}", title="Grüße ✔", text="Zeile 1\nZeile 2 €"),
    "ntfy, file": notify(f"ntfy://{root}/mytopic?token={ntfy}", text="with a file", attach=file),
    # Apprise posts more than 8000 bytes of JSON as a file.
    "ntfy, long text": notify(f"ntfy://{root}/mytopic?token={ntfy}", text="ü" * 2000),
    "ntfy, delay": notify(f"ntfy://{root}/mytopic?token={ntfy}&delay=30m", text="later"),
    "ntfy, wrong token": notify(f"ntfy://{root}/mytopic?token=wrong", text="with a wrong token"),
    "gotify": notify(f"gotify://{below}/msg/{gotify}"),
    "gotifys": notify(f"gotifys://{below_tls}/msg/{gotify}?verify=no"),
    "gotify without a path": notify(f"gotify://{root}/{gotify}", text="without a path"),
    "gotifys without a path": notify(f"gotifys://{root_tls}/{gotify}?verify=no", text="TLS without a path"),
    "gotify, parameters": notify(f"gotify://{below}/msg/{gotify}?priority=emergency&format=markdown",
                                 text="with **Markdown**", body_format="markdown"),
    "gotify, wrong token": notify(f"gotify://{below}/msg/wrong", text="with a wrong token"),
})
