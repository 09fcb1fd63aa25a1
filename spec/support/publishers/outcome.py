"""What the drivers of this folder have in common: the settings in, the outcomes out, and the warnings that a program logs.

A driver is started with one argument, the settings in JSON:

- `below`, `below_tls`: HOST:PORT of a server whose base URL ends in /msg; by HTTP and by HTTPS with a certificate that nobody signed
- `root`, `root_tls`: HOST:PORT of a server whose base URL has no path
- `ntfy`, `gotify`: a token for each
- `folder`: an empty folder

It prints a JSON list of [NAME, OUTCOME]. The outcome is true if the program regards its message as sent, otherwise a text that says why not.
"""
import json
import logging
import sys

settings = json.loads(sys.argv[1])


class Warnings(logging.Handler):
    """Collects the warnings of the program that runs; some programs report a failure only there."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


def report(calls):
    """Makes each call of { name: function } in turn, and prints the outcomes."""
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    outcomes = []
    for name, call in calls.items():
        warnings.texts.clear()
        try:
            result = call()
            text = "; ".join(warnings.texts)
            outcomes.append([name, result is not False and (not text) or text or "the program returned False"])
        except Exception as error:  # the outcome; the next call follows
            outcomes.append([name, f"{type(error).__name__}: {error}"])
    print(json.dumps(outcomes))
