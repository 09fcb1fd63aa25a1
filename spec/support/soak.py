#!/usr/bin/python3
"""All kinds of requests for hours: soak.py SECONDS. Prints the results as JSON; spec/hours_soak.lua checks them.

It goes at half of the rate that the same requests reach in the first ten seconds. Each minute the module is reloaded, and in
the middle its files are replaced by those of a newer version. A client, user@example.com, keeps the ledger: each message has a
number in its text. PLUGIN_DIR, PROSODY and PROSODY_ROOT are as in world.py.
"""
import asyncio
import base64
import collections
import heapq
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import world

HOST, ROOM = "example.com", "team@rooms.example.com"
WORKERS = 16
NEWER = "1.0.0+newer"
CONFIG = """modules_disabled = { "tls", "s2s", "mam" } -- an archive would grow
storage = { archive = "internal" }
"""
COMPONENTS = """Component "rooms.example.com" "muc"
	muc_room_locking = false
Component "upload.example.com" "http_file_share"
	http_host = "127.0.0.1"
	http_file_share_daily_quota = 1024 * 1024 * 1024
"""

# The entry of each number in the ledger.
MUST, MUST_NOT, MAY = 1, 2, 3


class Ledger:
    """A client that counts how often each number arrives, in a message of its own or of a room, and sends receipts on request."""

    def __init__(self):
        self.expected, self.arrived, self.strange = bytearray(1), bytearray(1), 0
        self.due = []
        self.heard = asyncio.Event()  # set when all messages sent before `hear_out` have arrived

    def number(self):
        self.expected.append(0)
        self.arrived.append(0)
        return len(self.expected) - 1

    async def login(self, port):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"<?xml version='1.0'?><stream:stream to='{HOST}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        plain = base64.b64encode(b"\0user\0secret").decode()
        for line, answer in (
                (head, b"</stream:features>"),
                (f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>", b"<success"),
                (head, b"</stream:features>"),
                ("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", b"</iq>"),
                ("<presence/>", b"<presence"),
                (f"<presence to='{ROOM}/user'><x xmlns='http://jabber.org/protocol/muc'/></presence>", b"110")):
            self.writer.write(line.encode())
            seen = b""
            while answer not in seen:
                seen += await asyncio.wait_for(self.reader.read(65536), world.PATIENCE)

    async def read(self):
        pending = b""
        while data := await self.reader.read(1 << 16):
            *stanzas, pending = (pending + data).split(b"</message>")
            for stanza in stanzas:
                numbers = set(re.findall(rb"n0(\d{9})n", stanza))
                if len(numbers) != 1:
                    self.strange += b"<body>" in stanza  # not a subject, nor an error
                    continue
                number = int(numbers.pop())
                if number < len(self.arrived):
                    self.arrived[number] = min(self.arrived[number] + 1, 255)
                if b"<request xmlns='urn:xmpp:receipts'" in stanza:
                    name = re.search(rb"<message [^>]*\bid='([^']+)'", stanza)[1]
                    heapq.heappush(self.due, (time.monotonic() + random.random() * 2, name))
            if b"id='last'" in pending:
                self.heard.set()
        raise world.Trouble("the ledger's client was cut off")

    async def confirm(self):
        while True:
            while self.due and self.due[0][0] <= time.monotonic():
                name = heapq.heappop(self.due)[1].decode()
                self.writer.write(f"<message to='me@{HOST}' id='r'><received xmlns='urn:xmpp:receipts' id='{name}'/></message>".encode())
            await self.writer.drain()
            await asyncio.sleep(0.02)

    async def hear_out(self):
        """Returns when all earlier stanzas were read: a stream keeps the order."""
        self.writer.write(f"<iq type='get' id='last' to='{HOST}'><ping xmlns='urn:xmpp:ping'/></iq>".encode())
        await asyncio.wait_for(self.heard.wait(), world.PATIENCE)

    def missing(self):
        """How many that have to arrive have not."""
        return sum(expected == MUST and not arrived for expected, arrived in zip(self.expected, self.arrived))

    def account(self):
        pairs = collections.Counter(zip(self.expected, self.arrived))
        count = lambda holds: sum(number for pair, number in pairs.items() if holds(*pair))
        return {
            "answered": count(lambda expected, _: expected == MUST),
            "lost": count(lambda expected, arrived: expected == MUST and arrived == 0),
            "twice": count(lambda _, arrived: arrived > 1),
            "refused but arrived": count(lambda expected, arrived: expected in (0, MUST_NOT) and arrived > 0),
            "unknown": count(lambda expected, _: expected == MAY),
            "strange": self.strange,
        }


# Requests


def text(number):
    return f"n0{number:09d}n " + "Backup of db-1 finished in 42 seconds. " * 3


class Request:
    def __init__(self, path, body, expected, media_type="text/plain", more=None, user="me", password="secret", numbers=(), method="POST"):
        headers = {"Host": HOST, "Authorization": "Basic " + base64.b64encode(f"{user}@{HOST}:{password}".encode()).decode(),
                   "Content-Type": media_type, "Content-Length": len(body), **(more or {})}
        self.bytes = f"{method} {path} HTTP/1.1\r\n".encode() + b"".join(
            f"{name}: {value}\r\n".encode() for name, value in headers.items() if value is not None) + b"\r\n" + body
        self.expected, self.numbers, self.keyed = expected, numbers, "Idempotency-Key" in headers


class Kinds:
    """Makes requests. The name of each method is that of a kind."""

    def __init__(self, ledger, token):
        self.ledger, self.token, self.keys = ledger, token, itertools.count(1)
        here = os.path.dirname(os.path.abspath(__file__)) + "/../../templates/"
        with open(here + "github/issue_comment-created.1.case", encoding="utf-8") as case:
            self.github = json.loads(next(line for line in case if line.startswith("{")))

    def message(self, make):
        number = self.ledger.number()
        request = make(text(number))
        request.numbers = (number,)
        return request

    def key(self):
        return {"Idempotency-Key": f"soak-{next(self.keys)}"}

    def text(self, more=None):
        return self.message(lambda line: Request("/msg/user", line.encode(), (201,), more=more))

    def json(self):
        return self.message(lambda line: Request("/msg", json.dumps({"to": "user", "body": line, "subject": "A subject"}).encode(), (201,),
                                                 "application/json", {"Accept": "application/json"}))

    def form(self):
        return self.message(lambda line: Request("/msg", f"to=user&body={line.replace(' ', '+')}".encode(), (201,),
                                                 "application/x-www-form-urlencoded"))

    def by_token(self):
        return self.message(lambda line: Request("/msg/user", line.encode(), (201,), more={"Authorization": "Bearer " + self.token}))

    def batch(self, more=None):
        numbers = [self.ledger.number() for _ in range(20)]
        body = "".join(json.dumps({"to": "user", "body": text(number)}) + "\n" for number in numbers)
        return Request("/msg", body.encode(), (201,), "application/x-ndjson", more, numbers=numbers)

    def room(self, more=None):
        return self.message(lambda line: Request(f"/msg/{ROOM}", line.encode(), (201,), more=more))

    def webhook(self):
        name = random.choice(("alertmanager", "discord", "github", "gotify", "ntfy", "slack"))

        def make(line):
            payload = {
                "alertmanager": {"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "team", "groupLabels": {},
                                 "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alerts.example.com", "alerts": [
                                     {"status": "firing", "labels": {"alertname": "DiskFull"}, "annotations": {"summary": line},
                                      "startsAt": "2026-11-22T05:14:23.117Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": ""}]},
                "discord": {"content": line},
                "gotify": {"title": "A title", "message": line},
                "ntfy": {"topic": "backup", "message": line},
                "slack": {"text": line},
            }.get(name) or {**self.github, "comment": {**self.github["comment"], "body": line}}
            more = {"X-GitHub-Event": "issue_comment"} if name == "github" else {}
            return Request(f"/msg/user?as={name}&token={self.token}", json.dumps(payload).encode(), (204 if name == "discord" else 200,),
                           "application/json", {"Authorization": None, **more})
        return self.message(make)

    def wait(self, more=None):
        request = self.text({"Prefer": "wait=30", **(more or {})})
        request.expected = (200,)
        return request

    def upload(self, more=None):
        number = self.ledger.number()
        return Request(f"/msg/user?filename={text(number).split()[0]}.bin", os.urandom(10000), (201,), "application/x-thing", more,
                       numbers=(number,))

    def wrong_password(self):
        return self.message(lambda line: Request("/msg/user", line.encode(), (401, 429), user="other", password="wrong"))

    def malformed(self):
        return self.message(random.choice((
            lambda line: Request("/msg", b'{"to":"user","body":"' + line.encode(), (400,), "application/json"),
            lambda line: Request("/msg/user", line.encode() + b"\xff", (400,)),
            lambda line: Request("/msg/user", line.encode() + b"\x1b", (422,)),
            lambda line: Request("/msg", json.dumps({"to": "user", "body": [line]}).encode(), (422,), "application/json"),
            lambda line: Request("/msg/user?as=grafana", json.dumps({"no": line}).encode(), (422,), "application/json"),
            lambda line: Request("/msg/nobody", line.encode(), (404,)),
            lambda line: Request("/msg/user", line.encode(), (405,), method="PUT"),
        )))

    def page(self):
        return Request("/msg", b"", (200,), more={"Accept": "text/html", "Authorization": None, "Content-Type": None}, method="GET")

    def openapi(self):
        return Request("/msg/openapi.json", b"", (200,), more={"Authorization": None, "Content-Type": None}, method="GET")


# How often each is, of a hundred; and how many a second of those that take their time, or of which something is kept: a key for a day, and
# the path of each file in a cache of Prosody's, of 10,000.
OF_HUNDRED = {"text": 40, "json": 14, "form": 10, "by_token": 12, "webhook": 12, "room": 4, "batch": 1, "malformed": 4, "page": 1, "openapi": 2}
A_SECOND = {"text": 0.2, "batch": 0.05, "room": 0.1, "wait": 0.25, "upload": 0.05}  # with a key
A_SECOND_WITHOUT_KEY = {"wait": 0.75, "upload": 0.05, "wrong_password": 2}


class Soak:
    def __init__(self, seconds):
        self.seconds = seconds
        self.statuses = collections.Counter()
        self.unexplained, self.repeated, self.cut = [], 0, 0
        self.reloading, self.reloaded = False, -1e9
        self.reloads, self.upgraded, self.samples = 0, None, []
        self.ledger = Ledger()

    async def run(self):
        accounts = {"me": "secret", "user": "secret", "other": "secret"}
        self.server = world.Server({HOST: {"accounts": accounts}}, COMPONENTS, CONFIG, level="info")
        tasks = []
        try:
            await self.server.start()
            await self.ledger.login(self.server.c2s_port)
            token = self.server.prosodyctl(["mod_post_msg", "token", "add", f"me@{HOST}"])["out"].splitlines()[-1]
            self.kinds = Kinds(self.ledger, token)
            begun = time.monotonic()
            self.end = begun + self.seconds
            tasks = [asyncio.create_task(task) for task in (self.ledger.read(), self.ledger.confirm())]
            await self.together(tasks, self.measure())
            sides = [self.workers(), *(self.regularly(kind, rate, True) for kind, rate in A_SECOND.items()),
                     *(self.regularly(kind, rate, False) for kind, rate in A_SECOND_WITHOUT_KEY.items()), self.reload(), self.sample()]
            await self.together(tasks, asyncio.gather(*sides))
            deadline = time.monotonic() + world.PATIENCE
            while self.ledger.missing() and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
            await self.ledger.hear_out()  # what comes twice, too
            log = [line for line in self.server.log().splitlines() if "\terror\t" in line or "raceback" in line]
            return {"seconds": time.monotonic() - begun, "capacity": self.capacity, "statuses": self.statuses, "unexplained": self.unexplained[:20],
                    "unexplained_count": len(self.unexplained), "repeated": self.repeated, "cut": self.cut, "reloads": self.reloads,
                    "upgraded": self.upgraded, "ledger": self.ledger.account(), "samples": self.samples, "errors": log[:20]}
        finally:
            for task in tasks:
                task.cancel()
            await self.server.stop()

    @staticmethod
    async def together(tasks, main):
        """Ends with `main`, or with the first of the tasks that fails."""
        main = asyncio.ensure_future(main)
        done, _ = await asyncio.wait([main, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if main not in done:
            main.cancel()
        for task in done:
            task.result()

    def mixed(self):
        return getattr(self.kinds, random.choices(list(OF_HUNDRED), list(OF_HUNDRED.values()))[0])()

    async def measure(self):
        """The rate at which as many as there are workers are answered, one after the other."""
        seconds = 10
        begun = time.monotonic()

        async def work():
            count, connection = 0, Connection(self.server.http_port)
            while time.monotonic() < begun + seconds:
                await self.request(connection, self.mixed())
                count += 1
            connection.close()
            return count

        self.capacity = sum(await asyncio.gather(*(work() for _ in range(WORKERS)))) / seconds

    async def workers(self):
        """Requests at half of the capacity, whoever has time for the next."""
        pause = 2 / self.capacity
        self.next = time.monotonic()

        async def work():
            connection = Connection(self.server.http_port)
            while self.next < self.end:
                at = self.next
                self.next = max(at, time.monotonic() - 1) + pause  # what was missed for longer than a second is not made up for
                await asyncio.sleep(max(at - time.monotonic(), 0))
                await self.request(connection, self.mixed())
            connection.close()

        await asyncio.gather(*(work() for _ in range(WORKERS)))

    async def regularly(self, kind, rate, keyed):
        """So many a second, each on a connection of its own, whether the others are answered or not."""
        async def one():
            connection = Connection(self.server.http_port)
            await self.request(connection, getattr(self.kinds, kind)(*([self.kinds.key()] if keyed else [])))
            connection.close()

        going = set()
        while time.monotonic() < self.end:
            going.add(asyncio.create_task(one()))
            done = {task for task in going if task.done()}
            for task in done:
                task.result()
            going -= done
            await asyncio.sleep(random.expovariate(rate))
        await asyncio.gather(*going)

    async def request(self, connection, request):
        expected, repeats = request.expected, 0
        while True:
            begun = time.monotonic()
            status = await connection.exchange(request.bytes)
            self.statuses[status] += 1
            explained = status in (503, 409) and (self.reloading or begun - 1 < self.reloaded)
            if status in expected or not explained:
                break
            if not request.keyed:
                # Before it was sent, or behind it: who posts without a key does not know.
                self.cut += bool(request.numbers)
                for number in request.numbers:
                    self.ledger.expected[number] = MAY
                return
            self.repeated += not repeats
            repeats += 1
            expected = (*expected, 202) if 200 in expected else expected  # its wait was over with the reload
            await asyncio.sleep(0.2)
        if status not in expected:
            self.unexplained.append([status, request.bytes[:60].decode("latin-1"), connection.said, round(begun - self.reloaded, 1)])
        for number in request.numbers:
            self.ledger.expected[number] = MUST if status < 300 else MUST_NOT

    async def reload(self):
        count = max(int(self.seconds // 60), 2)
        for number in range(1, count):
            await asyncio.sleep(max(self.end - self.seconds + number * self.seconds / count - time.monotonic(), 0))
            if number == count // 2:
                await asyncio.to_thread(self.replace)
            self.reloading = True
            told = await asyncio.to_thread(self.server.prosodyctl, ["shell", "module", "reload", "post_msg", HOST])
            self.reloading, self.reloaded = False, time.monotonic()
            if told["status"] or "rror" in told["out"]:
                raise world.Trouble(f"the reload failed: {told}")
            self.reloads += 1
            if number == count // 2:
                self.upgraded = self.runs_what_is_installed()

    def replace(self):
        """The files of a newer version, each as `install` replaces it."""
        folder = self.server.dir + "/plugins/mod_post_msg/"
        with open(folder + "loader.lib.lua", encoding="utf-8") as file:
            shim = file.read()
        with open(folder + "loader.lib.lua.new", "w", encoding="utf-8") as file:
            file.write(re.sub('local version = "[^"]*"', f'local version = "{NEWER}"', shim))
        with open(folder + "post_msg.so", "rb") as file:
            library = file.read()
        lua = re.search(rb"\nmod_post_msg \S+ for Lua (\S+), \d+ bytes\n$", library)
        with open(folder + "unlabelled", "wb") as file:
            file.write(library[:lua.start()])
        subprocess.run([world.HERE + "/../../tools/label", folder + "unlabelled", folder + "post_msg.so", NEWER, lua[1].decode()], check=True)
        os.remove(folder + "unlabelled")
        os.rename(folder + "loader.lib.lua.new", folder + "loader.lib.lua")

    def runs_what_is_installed(self):
        inode = os.stat(self.server.dir + "/plugins/mod_post_msg/post_msg.so").st_ino
        with open(f"/proc/{self.server.process.pid}/maps", encoding="utf-8") as maps:
            return any("post_msg.so" in line and line.split()[4] == str(inode) for line in maps)

    async def sample(self):
        """Each ten seconds: seconds since the begin, VmRSS in kB, file descriptors, kB that Lua holds."""
        begun = time.monotonic()
        process, parent = f"/proc/{self.server.process.pid}", os.getppid()
        while time.monotonic() < self.end:
            held = await self.server.lua("collectgarbage() collectgarbage() return collectgarbage('count')")
            with open(process + "/status", encoding="ascii") as status:
                resident = int(re.search(r"VmRSS:\s*(\d+)", status.read())[1])
            self.samples.append([time.monotonic() - begun, resident, len(os.listdir(process + "/fd")), held])
            if os.getppid() != parent:
                raise world.Trouble("nobody waits for the result any more")
            await asyncio.sleep(10)


class Connection:
    """A connection that is made anew where the server has closed it."""

    def __init__(self, port):
        self.port, self.streams, self.said = port, None, ""

    async def exchange(self, request):
        """> the status; 0 where there is no answer"""
        try:
            return await asyncio.wait_for(self.once(request), 90)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self.close()
            self.said = repr(error)
            return 0

    async def once(self, request):
        if not self.streams:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\n[Cc]ontent-[Ll]ength: (\d+)", head)
        self.said = (await reader.readexactly(int(length[1])))[:200].decode("utf-8", "replace") if length else ""
        if re.search(rb"\r\nConnection: close", head, re.I):
            self.close()
        return int(head[9:12])

    def close(self):
        if self.streams:
            self.streams[1].close()
            self.streams = None


async def main():
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)
    print(json.dumps(await Soak(float(sys.argv[1])).run()))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except world.Trouble as error:
        sys.exit(f"soak.py: {error}")
