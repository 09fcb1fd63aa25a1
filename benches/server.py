#!/usr/bin/python3
"""Measures mod_post_msg on a throw-away Prosody: `make bench`, or `server.py [SECTION…]`.

Sections: rates, first_use, batches, pings, posts, failures, waiting, webhooks, tokens. With all of them (no argument) the
result is written into docs/performance.md and docs/rates.svg. PLUGIN_DIR, PROSODY and PROSODY_ROOT are as in
spec/support/world.py.

Other programs always disturb a measurement. So the things that are compared are measured in turns, for several rounds. A figure
is the median of the rounds; a ratio is the median of each round's ratio.
"""
import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import multiprocessing
import os
import re
import resource
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../spec/support")
import report  # noqa: E402
import world  # noqa: E402
from clients import HOST, ping, receive  # noqa: E402

CHEAP = "cheap.example"  # a host whose passwords take no time to check, for many failures
FIRST_USERS = 20000
MESSAGES = 10000
WAITING = 1000
TOKENS, OWNERS = 100_000, 1000
LINE = 'Backup of "db-1" finished: 12 tables & 3 views in 42 seconds, no error.\n'
SMALL, LARGE = (LINE * 700)[:100], (LINE * 700)[:48 * 1024]
MODULES = """modules_enabled = {
	"admin_shell", "blocklist", "bookmarks", "carbons", "csi_simple", "dialback", "disco", "http", "invites", "limits", "message",
	"offline", "pep", "ping", "presence", "private", "register", "roster", "saslauth", "smacks", "time", "uptime", "vcard4",
	"vcard_legacy", "version",
}
limits = { c2s = { rate = "10mb/s" } }
"""  # the modules of Debian's configuration; its limit of 10kb/s for a client is too low for the pings

# A custom template that uses all its fuel.
GREEDY = "{% for i in range(100000) %}{% for j in range(100000) %}{{ i + j }}{% endfor %}{% endfor %}"

# Makes accounts with the password "secret". The password is derived only once.
MAKE_ACCOUNTS = """
local datamanager = require "util.datamanager"
local host, count = "%s", %d
local data = datamanager.load("sender", host, "accounts")
for number = 0, count - 1 do datamanager.store("first" .. number, host, "accounts", data) end
return data.iteration_count
"""


# Stores the tokens of an account in the module's format. `tokens` is a text of ids and hashes.
STORE_TOKENS = """
local storage = require "core.storagemanager"
local store, accounts = storage.open("%(host)s", "post_msg_tokens"), storage.open("%(host)s", "post_msg_token_ids")
local ids = {}
for id, hash in ("%(tokens)s"):gmatch("(%%S+) (%%S+)") do
	store:set(id, { account = "%(owner)s"; hash = hash; made = os.time(); label = "bench" })
	ids[id] = 0
end
accounts:set("%(owner)s", ids)
return true
"""


def alerts(count):
    """Returns Alertmanager's payload for a group of `count` alerts."""
    def alert(number):
        labels = {"alertname": "DiskWillFillIn4Hours", "instance": f"db{number}.example.com:9100", "job": "node", "mountpoint": "/srv",
                  "severity": "warning", "team": "storage"}
        return {"status": "resolved" if number % 3 == 0 else "firing", "labels": labels,
                "annotations": {"summary": f"/srv of db{number}.example.com fills within 4 hours",
                                "description": "Only 7.4 % are free, and it shrinks by 1.2 GB an hour.",
                                "runbook_url": "https://runbooks.example.com/disk"},
                "startsAt": "2026-11-22T05:14:23.117Z", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=predict_linear%28node_filesystem_free%5B1h%5D%29&g0.tab=1",
                "fingerprint": f"{number:016x}"}
    found = [alert(number) for number in range(count)]
    common = {name: value for name, value in found[0]["labels"].items() if name != "instance"}
    return {"receiver": "team", "status": "firing", "alerts": found, "groupLabels": {"alertname": common["alertname"]},
            "commonLabels": common, "commonAnnotations": {}, "externalURL": "http://alerts.example.com:9093", "version": "4",
            "groupKey": '{}:{alertname="DiskWillFillIn4Hours"}', "truncatedAlerts": 0}


# Turns the module's counters and histograms off or on.
DEAF = """
local deaf, nothing = %s, function () end
for name, family in pairs(require "core.statsmanager".get_metric_registry().families) do
	if name:find("post_msg", 1, true) then
		for _, metric in family:iter_metrics() do
			metric.add, metric.sample = deaf and nothing or nil, deaf and nothing or nil
		end
	end
end
"""


def token():
    """Returns a text with the form of a sending token."""
    text = f"pmsg_{secrets.token_hex(8)}_{secrets.token_urlsafe(20)}"
    return text + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())[:6].decode()


class Server(world.Server):
    def configure(self):
        shutil.copytree(HERE + "/modules", self.dir + "/helpers", dirs_exist_ok=True)
        super().configure()

    def seconds(self):
        """Returns the CPU time of Prosody's main thread, in seconds."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e9

    async def resident(self):
        """Returns the resident memory after a garbage collection, in megabytes."""
        await self.lua("collectgarbage() collectgarbage()")
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s*(\d+)", file.read())[1]) / 1024

    def failures(self):
        return self.log().count("Failed authentication attempt")


# The measurements


def at(values, share):
    """Returns a percentile."""
    values = sorted(values)
    return values[min(int(len(values) * share), len(values) - 1)]


def median(rounds, name):
    return statistics.median(entry[name] for entry in rounds)


class Bench:
    def __init__(self, options):
        self.options = options
        self.out = []  # lines of Markdown
        self.targets = []  # (what, target, measured, held)
        self.bars = []  # (label, share of the routing ceiling, whether it is ours)
        self.route_rate = None
        self.first_user = 0

    def target(self, what, target, measured, held):
        self.targets.append((what, target, measured, held))

    def table(self, title, head, rows, note=""):
        self.out += ["", f"### {title}", ""] + ([note, ""] if note else [])
        self.out += ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
        self.out += ["| " + " | ".join(row) + " |" for row in rows]
        print("\n".join(self.out[-len(rows) - 4:]), flush=True)

    async def run(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)) if hard != -1 else 4096, hard))
        lines = f"bench_small = {world.quote(SMALL)}; bench_large = {world.quote(LARGE)}; post_msg_templates = 'templates'"
        accounts = {"sender": "secret", "sink": "secret", "recipient": "secret", "pinger": "secret", "victim": "secret"}
        self.server = Server({HOST: {"accounts": accounts, "modules": ["post_msg", "bench_ceiling"], "lines": lines},
                              CHEAP: {"modules": [], "lines": "default_iteration_count = 1"}}, extra=MODULES, level="info",
                             files={"templates/greedy.j2": GREEDY})
        self.files = tempfile.mkdtemp(prefix="post_msg-bench-")
        spawn = multiprocessing.get_context("spawn")
        clients = []
        try:
            await self.server.start()
            self.bodies = {}
            ten = json.dumps(alerts(10))
            for name, body in (("small", SMALL), ("json", json.dumps({"to": "sink", "body": LARGE})), ("ten alerts", ten),
                               ("as large", json.dumps({"body": (LINE * 700)[:len(ten) - 100]})),
                               ("fifty alerts", json.dumps(alerts(50))), ("largest", json.dumps(alerts(14_000)))):
                self.bodies[name] = f"{self.files}/{name}"
                with open(self.bodies[name], "w", encoding="utf-8") as file:
                    file.write(body)
            self.received, ready = spawn.Value("q"), spawn.Event()
            self.pinger, pipe = spawn.Pipe()
            for target, *arguments in ((receive, "recipient", self.received, ready), (ping, "pinger", pipe)):
                client = spawn.Process(target=target, args=(self.server.c2s_port, *arguments), daemon=True)
                client.start()
                clients.append(client)
            if not ready.wait(world.PATIENCE) or not self.pinger.poll(world.PATIENCE):
                raise world.Trouble("the clients could not log in")
            self.pinger.recv()
            self.rounds = await self.server.lua(MAKE_ACCOUNTS % (HOST, FIRST_USERS))
            self.lua_version = await self.server.lua("return _VERSION")
            for section in self.options.section or SECTIONS:
                await getattr(self, section)()
        finally:
            for client in clients:
                client.kill()
            await self.server.stop()
            shutil.rmtree(self.files)

    def pinged(self):
        """Returns the pings since the last call, in milliseconds."""
        self.pinger.send(None)
        return self.pinger.recv()

    def make_token(self, *limits):
        """Makes a sending token for the sender."""
        return self.server.prosodyctl(["mod_post_msg", "token", "add", f"sender@{HOST}", *limits])["out"].splitlines()[-1]

    def token_file(self, name, tokens):
        with open(f"{self.files}/{name}", "w", encoding="ascii") as file:
            file.write("\n".join(tokens) + "\n")
        return file.name

    def wrk(self, path, body="small", user="sender", password="secret", token=None, connections=8, seconds=None, first=0, key=""):
        """Starts wrk. Returns a function that waits for its end and returns `requests`, `seconds`, `refused`, `p50` and `p99`
        (milliseconds), `rate` (a second) and `cost` (CPU µs of the server for a request)."""
        begin = self.server.seconds()
        media_type = "text/plain" if body == "small" else "application/json"
        process = subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds or self.options.seconds}s", "-s", HERE + "/requests.lua",
             f"http://127.0.0.1:{self.server.http_port}{path}", "--",
             HOST, media_type, self.bodies[body], "" if token else f"{user}@{HOST}" if "@" not in user else user, token or password,
             str(first), key],
            stdout=subprocess.PIPE, text=True)

        def end():
            output = process.communicate()[0]
            result = json.loads(output.splitlines()[-1])
            result["rate"] = (result["requests"] - result["refused"]) / result["seconds"]
            result["cost"] = (self.server.seconds() - begin) / max(result["requests"], 1) * 1e6
            return result

        return end

    def request(self, path, body, media_type="text/plain", user="sender", password="secret", more="", token=None):
        authorization = f"Bearer {token}" if token else "Basic " + base64.b64encode(f"{user}@{HOST}:{password}".encode()).decode()
        return (f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {authorization}\r\nContent-Type: {media_type}\r\n"
                f"{more}Content-Length: {len(body.encode())}\r\n\r\n{body}").encode()

    def another_user(self):
        self.first_user += 1
        assert self.first_user < FIRST_USERS
        return f"first{self.first_user}"

    async def rates(self):
        """Measures rates, in turns with the ceilings. Delivery costs nothing, so the figures show only the sender's side."""
        cases = {
            "ceiling: answer at once": ("/ceiling/answer", "small"),
            "ceiling: answer after `module:send`": ("/ceiling/send", "small"),
            "ceiling: answer after routing a prebuilt message": ("/ceiling/route", "small"),
            "**100 bytes of text, cached password**": ("/msg/sink", "small"),
            "**the same, cached sending token**": ("/msg/sink", "small"),
            "**the same, to a topic of ntfy**": ("/msg/sink", "small"),
            "**the same with an `Idempotency-Key`**": ("/msg/sink", "small"),
            "ceiling: answer at once to 48 KB": ("/ceiling/answer", "json"),
            "ceiling: answer after routing a prebuilt message of 48 KB": ("/ceiling/route-large", "json"),
            "**48 KB of JSON, cached password**": ("/msg", "json"),
        }
        answer, send, route, small, by_token, topic, keyed, answer_large, route_large, large = cases
        tokens = {by_token: self.make_token(), topic: self.make_token("--to", f"sink@{HOST}", "--as", "ntfy")}
        self.wrk("/msg/sink")()
        found = {name: [] for name in cases}
        for number in range(self.options.rounds):
            for name, arguments in cases.items():
                key = f"{os.getpid()}-{number}-" if name == keyed else ""
                result = await asyncio.to_thread(self.wrk(*arguments, key=key, token=tokens.get(name)))
                if result["refused"] or result["lost"]:
                    raise world.Trouble(f"{name}: {result}")
                found[name].append(result)
        allocated = {name: await self.allocated(*arguments, keyed=name == keyed, token=tokens.get(name)) for name, arguments in cases.items()}

        def ratio(a, b, key="rate"):
            return statistics.median(x[key] / y[key] for x, y in zip(found[a], found[b]))

        self.table(
            "Rates", ["8 keep-alive connections", "requests/s", "p50 ms", "p99 ms", "relative to routing", "relative to `module:send`", "CPU µs/request",
                      "bytes allocated in Lua"],
            [[name, f"{median(found[name], 'rate'):,.0f}", f"{median(found[name], 'p50'):.2f}", f"{median(found[name], 'p99'):.2f}",
              f"{ratio(name, route):.2f}", f"{ratio(name, send):.2f}", f"{median(found[name], 'cost'):.0f}", f"{allocated[name]:,.0f}"]
             for name in cases],
            f"A test hook discards the messages, so that delivery costs nothing. The CPU time of the ceilings, relative to this module: "
            f"{ratio(route, small, 'cost'):.2f} (routing 100 bytes), {ratio(answer_large, large, 'cost'):.2f} (reading 48 KB), "
            f"{ratio(route_large, large, 'cost'):.2f} (reading and routing 48 KB).")
        self.bars += [(re.sub(r"[*`]|ceiling: ", "", name), ratio(name, route), name.startswith("**")) for name in cases]
        self.route_rate = median(found[route], "rate")
        for what, least, measured in (
                ("100 bytes of text, cached password: rate relative to the routing ceiling", 0.92, ratio(small, route)),
                ("48 KB of JSON: rate relative to reading 48 KB and answering at once", 1.0, ratio(large, answer_large)),
                ("100 bytes of text, cached sending token: rate relative to a cached password", 0.95, ratio(by_token, small)),
                ("100 bytes of text to a topic of ntfy: rate relative to a cached sending token", 0.6, ratio(topic, by_token)),
                ("100 bytes of text with an `Idempotency-Key`: rate relative to no key", 0.7, ratio(keyed, small))):
            self.target(what, f"at least {least:.2f}", f"{measured:.2f}", measured >= least)

    async def metrics(self):
        """Measures the cost of metrics, in turns with the same Prosody with its counters and histograms turned off."""
        collecting = Server({HOST: {"accounts": {"sender": "secret", "sink": "secret"}, "modules": ["post_msg", "bench_ceiling"],
                                    "lines": f"bench_small = {world.quote(SMALL)}; bench_large = {world.quote(LARGE)}"}},
                            extra=MODULES + '\nstatistics = "internal"\nstatistics_interval = "manual"', level="info")
        plain, found = self.server, {"not collected": [], "collected": []}
        self.server = collecting
        try:
            await collecting.start()
            self.wrk("/msg/sink")()
            for _ in range(self.options.rounds * 2):
                for name, entries in found.items():
                    await collecting.lua(DEAF % ("true" if name == "not collected" else "false"))
                    entries.append(await asyncio.to_thread(self.wrk("/msg/sink")))
        finally:
            self.server = plain
            await collecting.stop()
        measured = statistics.median(new["cost"] / old["cost"] for old, new in zip(*found.values()))
        self.table("Metrics", ["100 bytes of text, cached password; metrics are", "requests/s", "CPU µs/request"],
                   [[name, f"{median(entries, 'rate'):,.0f}", f"{median(entries, 'cost'):.1f}"] for name, entries in found.items()])
        self.target("100 bytes of text while metrics are collected: CPU time relative to no metrics", "at most 1.02", f"{measured:.3f}", measured <= 1.02)

    async def allocated(self, path, body, keyed=False, token=None):
        """Returns the bytes that one request and its answer allocate in Lua. The garbage collector is stopped for this."""
        count = 20 if body == "json" else 200  # the garbage of all requests must fit into memory
        with open(self.bodies[body], encoding="utf-8") as file:
            media_type, text = "application/json" if body == "json" else "text/plain", file.read()
        requests = [self.request(path, text, media_type, more=f"Idempotency-Key: allocated-{number}\r\n" if keyed else "", token=token)
                    for number in range(count + 1)]
        with contextlib.closing(world.Http(self.server.http_port)) as connection:
            connection.exchange(requests.pop())
            before = await self.server.lua("collectgarbage() collectgarbage('stop') return collectgarbage('count')")
            for request in requests:
                await asyncio.to_thread(connection.exchange, request)
            after = await self.server.lua("local count = collectgarbage('count') collectgarbage('restart') return count")
        return (after - before) * 1024 / count

    async def first_use(self):
        """Measures passwords that are used for the first time."""
        found = []
        for _ in range(self.options.rounds):
            result = await asyncio.to_thread(self.wrk("/msg/recipient", user="first%d", first=self.first_user))
            self.first_user += result["requests"] + 8
            found.append(result)
        self.table("First use of a password", ["8 keep-alive connections, each request with a different account", "requests/s", "p50 ms", "p99 ms"],
                   [[f"{self.rounds:,} iterations of PBKDF2, one thread", f"{median(found, 'rate'):,.0f}", f"{median(found, 'p50'):.1f}",
                     f"{median(found, 'p99'):.1f}"]])
        if self.route_rate:
            self.bars.append(("first use of a password", median(found, "rate") / self.route_rate, True))

    async def batches(self):
        """Measures many messages in one request, in turns with a plain loop."""
        line = json.dumps({"to": "sink", "body": SMALL}) + "\n"
        requests = {"loop": self.request(f"/ceiling/loop/{MESSAGES}", ""),
                    "ndjson": self.request("/msg", line * MESSAGES, "application/x-ndjson")}
        found = {"loop": [], "ndjson": []}
        for _ in range(self.options.rounds):
            for name, request in requests.items():
                taken = await self.server.lua("return prosody.bench_taken")
                self.pinged()
                cpu, begin = self.server.seconds(), time.monotonic()
                answer = (await asyncio.to_thread(world.http, self.server.http_port, request, 1, 60))[0]
                found[name].append({"answered": time.monotonic() - begin, "cpu": self.server.seconds() - cpu,
                                    "ping": max(self.pinged()), "status": answer["status"],
                                    "missing": taken + MESSAGES - await self.server.lua("return prosody.bench_taken")})
        rows = []
        for name, label in (("loop", "ceiling: loop of `module:send`"), ("ndjson", "**NDJSON**")):
            rows.append([label, f"{MESSAGES / median(found[name], 'cpu'):,.0f}", f"{MESSAGES / median(found[name], 'answered'):,.0f}",
                         f"{median(found[name], 'cpu'):.2f}", f"{median(found[name], 'answered'):.2f}", f"{median(found[name], 'ping'):.1f}",
                         f"{max(entry['ping'] for entry in found[name]):.1f}"])
        self.table(f"{MESSAGES:,} messages in one request, without the cost of delivery",
                   ["", "messages per CPU second", "messages/s", "CPU s", "s", "longest ping ms (median)", "longest ping ms (all rounds)"], rows)
        seconds = median(found["ndjson"], "cpu")
        share = statistics.median(a["cpu"] / b["cpu"] for a, b in zip(found["loop"], found["ndjson"]))
        longest = median(found["ndjson"], "ping")
        good = all(entry["status"] == 201 and entry["missing"] == 0 for entry in found["ndjson"])
        self.target("NDJSON with 10,000 messages: all arrive, CPU time", "under 1.5 s", f"{seconds:.2f} s" + ("" if good else " (not all)"),
                    good and seconds < 1.5)
        self.target("NDJSON with 10,000 messages: rate relative to a loop of `module:send`", "at least 0.70", f"{share:.2f}", share >= 0.7)
        self.target("NDJSON with 10,000 messages: longest ping of another user", "at most 50 ms", f"{longest:.1f} ms", longest <= 50)

    async def webhooks(self):
        """Measures other programs' payloads, in turns with a JSON message of the same size, and the pings at that time."""
        cases = {
            "ceiling: answer at once to the same number of bytes": ("/ceiling/answer", "as large"),
            "a JSON message with the size of 10 alerts": ("/msg/sink", "as large"),
            "**Alertmanager, 10 alerts**": ("/msg/sink?as=alertmanager", "ten alerts"),
            "**Alertmanager, 50 alerts (on the worker thread)**": ("/msg/sink?as=alertmanager", "fifty alerts"),
        }
        _, plain, ten, _ = cases
        found = {name: [] for name in cases}
        for _ in range(self.options.rounds):
            for name, arguments in cases.items():
                result = await asyncio.to_thread(self.wrk(*arguments))
                if result["refused"] or result["lost"]:
                    raise world.Trouble(f"{name}: {result}")
                found[name].append(result)
        self.table("Other programs' payloads", ["8 keep-alive connections", "requests/s", "p50 ms", "p99 ms", "relative to the JSON message", "CPU µs/request"],
                   [[name, f"{median(rounds, 'rate'):,.0f}", f"{median(rounds, 'p50'):.2f}", f"{median(rounds, 'p99'):.2f}",
                     f"{statistics.median(a['rate'] / b['rate'] for a, b in zip(rounds, found[plain])):.2f}", f"{median(rounds, 'cost'):.0f}"]
                    for name, rounds in found.items()])
        share = statistics.median(a["rate"] / b["rate"] for a, b in zip(found[ten], found[plain]))
        self.target("Alertmanager, 10 alerts: rate relative to a JSON message of that size", "at least 0.60", f"{share:.2f}", share >= 0.6)
        floods = {
            "idle": None,
            "**a template that uses all its fuel, 8 connections**": {"path": "/msg/sink?as=greedy", "body": "ten alerts"},
            "**Alertmanager, 50 alerts, 8 connections**": {"path": "/msg/sink?as=alertmanager", "body": "fifty alerts"},
            "ceiling: answer at once to 10 MB, 1 connection": {"path": "/ceiling/answer", "body": "largest", "connections": 1},
            "**Alertmanager, 14,000 alerts in 10 MB, 1 connection**": {"path": "/msg/sink?as=alertmanager", "body": "largest", "connections": 1},
        }
        pings = {name: [] for name in floods}
        for _ in range(max(1, self.options.rounds // 3)):
            for name, flood in floods.items():
                self.pinged()
                result = await asyncio.to_thread(self.wrk(**flood, seconds=3)) if flood else await asyncio.sleep(3, {"rate": 0})
                times = self.pinged()
                pings[name].append({"p50": at(times, 0.5), "p99": at(times, 0.99), "max": max(times),
                                    "rate": result["requests"] / result["seconds"] if flood else 0})
        self.table("XMPP pings of another user, while templates are rendered", ["", "p50 ms", "p99 ms", "max ms", "requests/s"],
                   [[name] + [f"{median(rounds, key):.1f}" for key in ("p50", "p99")] + [f"{max(entry['max'] for entry in rounds):.1f}",
                     f"{median(rounds, 'rate'):,.1f}"] for name, rounds in pings.items()])
        idle, greedy, _, ceiling, largest = (median(rounds, "p99") for rounds in pings.values())
        self.target("XMPP ping while a template uses all its fuel: p99", "at most idle + 5 ms", f"{greedy:.1f} ms (idle {idle:.1f})", greedy <= idle + 5)
        self.target("XMPP ping under payloads of 10 MB: p99", "at most the ceiling + 5 ms", f"{largest:.1f} ms (idle {idle:.1f}, ceiling {ceiling:.1f})",
                    largest <= ceiling + 5)

    async def tokens(self):
        """Measures sending tokens, with a few and with many in the store."""
        one, rounds, memory, first = self.make_token(), [], [], 0
        stored = [token() for _ in range(TOKENS)]
        path = self.token_file("stored", stored)
        for many in (False, True):
            if many:
                for number in range(OWNERS):
                    of_owner = stored[number::OWNERS]
                    pairs = " ".join(f"{text[5:21]} {hashlib.sha256(text.encode()).hexdigest()}" for text in of_owner)
                    await self.server.lua(STORE_TOKENS % {"host": HOST, "owner": f"first{number}", "tokens": pairs})
            self.wrk("/msg/sink", token=one)()
            memory.append(await self.server.resident())
            rounds.append([(await asyncio.to_thread(self.wrk("/msg/sink", token=one)), await asyncio.to_thread(self.wrk("/msg/sink")))
                           for _ in range(self.options.rounds)])
        uses = []
        for _ in range(self.options.rounds):
            uses.append(await asyncio.to_thread(self.wrk("/msg/sink", token=path, first=first, seconds=3)))
            first += uses[-1]["requests"] + 8
            if uses[-1]["refused"]:
                raise world.Trouble(f"tokens: {uses[-1]}")
        memory.append(await self.server.resident())
        shares = [statistics.median(a["rate"] / b["rate"] for a, b in pairs) for pairs in rounds]
        rows = [[label, f"{statistics.median(a['rate'] for a, _ in pairs):,.0f}", f"{share:.2f}", f"{mb:.1f}"]
                for label, pairs, share, mb in zip(("a few in the store", f"{TOKENS:,} in the store"), rounds, shares, memory)]
        rows.append([f"each of {min(first, TOKENS):,} used for the first time", f"{median(uses, 'rate'):,.0f}", "", f"{memory[2]:.1f}"])
        self.table("Sending tokens", ["8 keep-alive connections, 100 bytes of text", "requests/s", "relative to a cached password", "resident MB"], rows)
        self.target(f"{TOKENS:,} tokens in the store: rate relative to a few tokens", "at least 0.95", f"{shares[1] / shares[0]:.2f}",
                    shares[1] / shares[0] >= 0.95)
        self.target(f"{TOKENS:,} tokens in the store, and used: memory growth", "at most 10 MB", f"{memory[2] - memory[0]:+.1f} MB",
                    memory[2] - memory[0] <= 10)

    async def first_uses(self, busy):
        """Posts with passwords that were not used before, while `busy()`. Returns the times (milliseconds) and the statuses."""
        times, statuses = [], []
        while busy():
            request = self.request("/msg/recipient", SMALL, user=self.another_user())
            begin = time.monotonic()
            answer = (await asyncio.to_thread(world.http, self.server.http_port, request))[0]
            times.append((time.monotonic() - begin) * 1000)
            statuses.append(answer["status"])
        return times, statuses

    async def pings(self):
        """Measures pings of another user while requests keep the server busy."""
        kinds = {
            "idle": None,
            "ceiling: answer at once": {"path": "/ceiling/answer"},
            "ceiling: answer after routing a prebuilt message": {"path": "/ceiling/route"},
            "**valid posts**": {"path": "/msg/sink"},
            "**one wrong password for one account**": {"user": "victim", "password": "wrong"},
            "**a different wrong password each time for one account**": {"user": "victim", "password": "wrong%d"},
            "**a different unknown account each time**": {"user": "nobody%d", "password": "wrong"},
            "**one wrong sending token**": {"token": token()},
            "**a different wrong sending token each time**": {"token": self.token_file("wrong", [token() for _ in range(100_000)])},
        }
        refused = [name for name, flood in kinds.items() if flood and flood.keys() & {"password", "token"}]
        found = {name: [] for name in kinds}
        seconds = max(3, self.options.seconds)
        first = 0
        for _ in range(max(1, self.options.rounds // 3)):
            for name, flood in kinds.items():
                failures, begin, uses = self.server.failures(), time.monotonic(), ([], [])
                if flood is None:
                    self.pinged()
                    await asyncio.sleep(seconds)
                    pings, rate = self.pinged(), 0
                else:
                    first += 1_000_000
                    end = asyncio.create_task(asyncio.to_thread(
                        self.wrk(**{"path": "/msg/recipient", **flood}, connections=64, seconds=seconds, first=first)))
                    self.pinged()
                    if name in refused:
                        uses = await self.first_uses(lambda end=end: not end.done())
                    result = await end
                    pings, rate = self.pinged(), result["requests"] / result["seconds"]
                found[name].append({
                    "p50": at(pings, 0.5), "p99": at(pings, 0.99), "max": max(pings), "rate": rate,
                    "failures": (self.server.failures() - failures) / (time.monotonic() - begin), "uses": uses[0],
                    "unsent": sum(status != 201 for status in uses[1])})
        idle, answer, route = (median(found[name], "p99") for name in list(kinds)[:3])
        beside = f"(idle {idle:.1f}, ceilings {answer:.1f} and {route:.1f})"
        rows = []
        for name, rounds in found.items():
            uses = [use for entry in rounds for use in entry["uses"]]
            unsent = sum(entry["unsent"] for entry in rounds)
            rows.append([name] + [f"{median(rounds, key):.1f}" for key in ("p50", "p99")] + [f"{max(e['max'] for e in rounds):.1f}"]
                        + [f"{median(rounds, 'rate'):,.0f}", f"{median(rounds, 'failures'):,.0f}"]
                        + ([f"{at(uses, 0.5):.1f}", f"{at(uses, 0.99):.1f}", f"{max(uses):.1f}", f"{unsent} of {len(uses)}"]
                           if uses else ["", "", "", ""]))
            if name in refused:
                what = re.sub(r"\*", "", name)
                p99, used = median(rounds, "p99"), at(uses, 0.99)
                self.target(f"XMPP ping, 64 connections with {what}: p99", "at most idle + 5 ms", f"{p99:.1f} ms {beside}", p99 <= idle + 5)
                self.target(f"First use of a correct password, 64 connections with {what}: p99", "under 50 ms",
                            f"{used:.1f} ms" + (f", {unsent} of {len(uses)} refused" if unsent else ""), used < 50 and not unsent)
            elif name == "**valid posts**":
                p99 = median(rounds, "p99")
                self.target("XMPP ping, 64 connections with valid posts: p99", "at most idle + 15 ms", f"{p99:.1f} ms {beside}", p99 <= idle + 15)
        self.table("XMPP pings of another user, under 64 connections",
                   ["", "p50 ms", "p99 ms", "max ms", "requests/s", "failed attempts/s", "first use of a correct password p50 ms", "p99 ms",
                    "max ms", "refused"], rows, "Further attempts are answered 429 (too many) or 503 (too many at once) and are not counted as failed.")

    async def posts(self):
        """Measures memory over many posts."""
        await asyncio.to_thread(self.wrk("/msg/recipient", seconds=5))
        before, count = await self.server.resident(), 0
        while count < 100_000:
            count += (await asyncio.to_thread(self.wrk("/msg/recipient", seconds=5)))["requests"]
        self.grown("posts", count, before, await self.server.resident())

    async def failures(self):
        """Measures memory over many failures."""
        before, count, first = await self.server.resident(), self.server.failures(), 0
        begin, failed = count, 0
        while failed < 100_000:
            result = await asyncio.to_thread(self.wrk("/msg/recipient", user="nobody%d@" + CHEAP, password="wrong", seconds=5, first=first))
            first += result["requests"] + 8
            failed = self.server.failures() - begin
            if result["requests"] < 100:
                raise world.Trouble(f"failures: {result}")
        self.grown("failures, each for a different account", failed, before, await self.server.resident())

    def grown(self, what, count, before, after):
        self.table(f"Resident memory over {what}", [what, "before MB", "after MB", "growth MB"],
                   [[f"{count:,}", f"{before:.1f}", f"{after:.1f}", f"{after - before:+.1f}"]])
        self.target(f"Memory growth over 100,000 {what}", "at most 10 MB", f"{after - before:+.1f} MB", after - before <= 10)

    async def waiting(self):
        """Measures many requests that wait for a receipt that never arrives."""
        plain = self.request("/ceiling/route", SMALL)
        patient = self.request("/msg/recipient", SMALL, more="Prefer: wait=30\r\n")
        self.pinged()
        alone = await asyncio.to_thread(self.wrk("/msg/recipient"))
        idle = self.pinged()
        memory = [await self.server.resident()]
        connections = [world.Http(self.server.http_port, 60) for _ in range(WAITING)]
        for connection in connections:
            connection.exchange(plain)
        memory.append(await self.server.resident())
        goal = self.received.value + WAITING
        for connection in connections:
            connection.socket.sendall(patient)
        deadline = time.monotonic() + world.PATIENCE
        while self.received.value < goal:
            if time.monotonic() > deadline:
                raise world.Trouble(f"{goal - self.received.value} of {WAITING} messages have not arrived")
            time.sleep(0.001)
        memory.append(await self.server.resident())
        self.pinged()
        crowd = await asyncio.to_thread(self.wrk("/msg/recipient"))
        busy = self.pinged()
        statuses = [connection.answer()["status"] for connection in connections]
        ending = self.pinged()
        for connection in connections:
            connection.close()
        self.table(f"{WAITING:,} waiting requests (`Prefer: wait=30`)",
                   ["", "resident MB", "posts/s at that time (8 connections)", "p50 ms", "p99 ms", "ping p50 ms", "ping p99 ms", "ping max ms"],
                   [["before", f"{memory[0]:.1f}", f"{alone['rate']:,.0f}", f"{alone['p50']:.2f}", f"{alone['p99']:.2f}"]
                    + [f"{at(idle, share):.1f}" for share in (0.5, 0.99, 1)],
                    ["connected, each after one post to the routing ceiling", f"{memory[1]:.1f}"] + [""] * 6,
                    ["waiting", f"{memory[2]:.1f}", f"{crowd['rate']:,.0f}", f"{crowd['p50']:.2f}", f"{crowd['p99']:.2f}"]
                    + [f"{at(busy, share):.1f}" for share in (0.5, 0.99, 1)],
                    ["idle, then all end at once", "", "", "", ""] + [f"{at(ending, share):.1f}" for share in (0.5, 0.99, 1)]],
                   f"Answered: {', '.join(f'{statuses.count(status)} × {status}' for status in sorted(set(statuses)))}.")
        cost = memory[2] - memory[1]
        self.target("1,000 waiting requests: memory without that of their connections", "under 20 MB",
                    f"{cost:.1f} MB ({memory[2] - memory[0]:.1f} MB with the connections)", cost < 20)

    # The report

    def circumstances(self):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = re.search(r"model name\s*:\s*(.*)", file.read())
        return (f"{len(os.sched_getaffinity(0))} cores ({model[1] if model else 'unknown'}), shared with the clients and other programs; "
                f"Prosody {self.server.version}, {self.lua_version}; passwords hashed with {self.rounds:,} iterations (internal_hashed). "
                f"Each figure is the median of {self.options.rounds} rounds.")

    def markdown(self):
        lines = ["| what | target | measured | met |", "|---|--:|--:|---|"]
        lines += [f"| {what} | {target} | {measured} | {'yes' if held else '**no**'} |" for what, target, measured, held in self.targets]
        return "\n".join([self.circumstances(), "", *lines, *self.out, ""])


# Large payloads and tokens come last, because they leave data on the disk and in memory that would disturb the other sections.
SECTIONS = ["rates", "metrics", "first_use", "batches", "pings", "posts", "failures", "waiting", "webhooks", "tokens"]

def main():
    parser = argparse.ArgumentParser(description="Measures mod_post_msg on a throw-away Prosody.")
    parser.add_argument("section", nargs="*", help="default: all, which also writes docs/performance.md and docs/rates.svg")
    parser.add_argument("--rounds", type=int, default=9, help="of each figure that is compared (%(default)s)")
    parser.add_argument("--seconds", type=int, default=1, help="of each run of wrk (%(default)s)")
    options = parser.parse_args()
    for section in options.section:
        if section not in SECTIONS:
            parser.error(f"{section} is none of {', '.join(SECTIONS)}")
    bench = Bench(options)
    try:
        asyncio.run(bench.run())
    except (world.Trouble, OSError) as error:
        sys.exit(f"bench: {error}")
    print(bench.markdown())
    if not options.section:
        report.write(bench)


if __name__ == "__main__":
    main()
