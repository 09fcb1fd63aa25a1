"""borgmatic reads its configuration and calls its ntfy hook, as at the start and the end of a backup. See outcome.py for the argument."""
import logging

from borgmatic.config import validate
from borgmatic.hooks import dispatch
from borgmatic.hooks.monitoring import monitor

from outcome import report, settings

CONFIG = """
repositories:
    - path: /backup
ntfy:
    server: http://{server}
    topic: {topic}
    {credentials}
    states: [start, finish, fail]
    start:
        title: A backup begins
        message: The backup has begun.
        priority: min
        tags: hourglass, borg matic
    finish:
        title: Sicherung fertig ✔
        message: Größe 5 €
        priority: default
        tags: tada
"""


def ping(state, server, credentials, topic="backups"):
    def call():
        path = settings["folder"] + "/borgmatic.yaml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(server=server, topic=topic, credentials=credentials))
        config, _, _ = validate.parse_configuration(path, validate.schema_filename(), {})
        dispatch.call_hooks("ping_monitor", config, dispatch.Hook_type.MONITORING, path, state, logging.WARNING, False)
    return call


below, root = settings["below"] + "/msg", settings["root"]
access = f"access_token: {settings['ntfy']}"
password = f"username: me@example.com\n    password: {settings['ntfy']}"
report({
    "start": ping(monitor.State.START, below, access),
    "finish": ping(monitor.State.FINISH, below, access),
    "fail, its own texts": ping(monitor.State.FAIL, below, access),
    "user and password": ping(monitor.State.START, below, password),
    "a slash at the end": ping(monitor.State.START, below + "/", access),
    "without a path": ping(monitor.State.START, root, access),
    "wrong token": ping(monitor.State.START, below, "access_token: wrong"),
})
