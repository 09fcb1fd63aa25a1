"""Posts with the programs' own libraries, unchanged, to a Prosody: senders.py PORT PROXY_PORT TOKEN GOTIFY_TOKEN NTFY_TOKEN.

PORT is Prosody's, PROXY_PORT that of the proxy of docs/programs.md, which stands in for hosts whose paths cannot be chosen.
Prints JSON: the name of each sender, and whether it takes what it was answered for success.
"""
import json
import logging
import sys

import apprise
import discord_webhook
import gotify
import slack_sdk.webhook
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.slack import NotifySlack

logging.disable(logging.CRITICAL)
port, proxy, token, gotify_token, ntfy_token = sys.argv[1:]
url = f"http://127.0.0.1:{port}/msg/user?token={token}&as="

# Their hosts are fixed; everything else is unchanged.
NotifySlack.webhook_url = f"http://127.0.0.1:{proxy}/services"
NotifyDiscord.notify_url = f"http://127.0.0.1:{proxy}/api/webhooks"


def slack():
    answer = slack_sdk.webhook.WebhookClient(url + "slack").send(text="slack_sdk: <https://example.com/|a page>")
    return answer.status_code == 200 and answer.body == "ok"


def discord():
    webhook = discord_webhook.DiscordWebhook(url=url + "discord", content="discord-webhook: **bold**")
    webhook.add_embed(discord_webhook.DiscordEmbed(title="An embed", description="with a text"))
    return webhook.execute().ok and bool(webhook.id)


def discord_file():
    webhook = discord_webhook.DiscordWebhook(url=url + "discord", content="discord-webhook: a file")
    webhook.add_file(file=b"\x00\x01", filename="graph.png")
    return webhook.execute().ok


def gotify_library():
    # The text after # is what it appends to its base URL.
    sender = gotify.Gotify(base_url=f"http://127.0.0.1:{port}/msg/user?as=gotify#", app_token=token)
    return isinstance(sender.create_message("gotify: a message", title="A title", priority=5)["id"], int)


def gotify_by_proxy():
    sender = gotify.Gotify(base_url=f"http://127.0.0.1:{proxy}", app_token=gotify_token)
    return isinstance(sender.create_message("gotify: by a proxy")["id"], int)


def with_apprise(address):
    def send():
        sender = apprise.Apprise()
        return sender.add(address) and sender.notify(title="A title", body=address.split(":")[0] + " of apprise")
    return send


senders = {
    "slack_sdk": slack, "discord_webhook": discord, "discord_webhook with a file": discord_file,
    "gotify": gotify_library, "gotify by a proxy": gotify_by_proxy,
    "apprise slack": with_apprise("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?image=no"),
    "apprise discord": with_apprise("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?image=no"),
    "apprise gotify": with_apprise(f"gotify://127.0.0.1:{proxy}/{gotify_token}"),
    "apprise ntfy": with_apprise(f"ntfy://127.0.0.1:{proxy}/mytopic?auth=token&token={ntfy_token}&mode=private"),
    "apprise json": with_apprise(f"json://127.0.0.1:{port}/msg/user?-as=gotify&-token={token}"),
    "apprise form": with_apprise(f"form://127.0.0.1:{port}/msg/user?-as=gotify&-token={token}"),
    "apprise json, as fields": with_apprise(
        f"json://127.0.0.1:{port}/msg/user?-token={token}&:message=body&:title=subject&:type=kind"),
}

results = {}
for name, send in senders.items():
    try:
        results[name] = bool(send())
    except Exception as error:  # told, and the others have their turn
        results[name] = repr(error)
print(json.dumps(results))
