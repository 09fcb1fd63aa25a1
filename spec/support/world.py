#!/usr/bin/python3
"""A throw-away Prosody on loopback and real XMPP clients: for the demo, the specs and the benchmarks.

`Server` is the Prosody, `Client` a slixmpp client that keeps what it receives as it came over the wire.
Run as a program, this file prints the port of a control socket and serves one connection on it: a line
of JSON in (`{"do": …}`, see `Control`), a line of JSON out. It ends, and takes everything with it, when
the connection closes or a signal comes.

Environment: PLUGIN_DIR, the folder that holds mod_post_msg/; PROSODY, the executable (default: prosody);
PROSODY_ROOT, a folder to run it in with chroot (default: none).
"""
import asyncio
import base64
import collections
import contextlib
import inspect
import itertools
import json
import logging
import multiprocessing
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from xml.parsers import expat

import slixmpp

from stream import Posts, Receiver

for name in ("slixmpp", "asyncio"):  # a client that is thrown away complains of its unfinished tasks
    logging.getLogger(name).setLevel(logging.CRITICAL)
HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 60  # seconds for what takes milliseconds on an idle machine

GLOBAL = """run_as_root = true
daemonize = false
data_path = %(dir)s .. "/data"
pidfile = %(dir)s .. "/prosody.pid"
plugin_paths = { %(dir)s .. "/plugins", %(dir)s .. "/helpers" }
log = { %(level)s = %(dir)s .. "/prosody.log" }
modules_enabled = {
	"roster", "saslauth", "message", "presence", "offline", "carbons", "mam", "blocklist", "ping", "disco", "http", "admin_shell",
}
modules_disabled = { "tls", %(disabled)s }
authentication = "internal_hashed"
storage = { archive = "memory" }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
interfaces = { "127.0.0.1" }
c2s_ports = { %(c2s)d }
http_ports = { %(http)d }
c2s_direct_tls_ports = {}
legacy_ssl_ports = {}
https_ports = {}
"""

# What stands before a configuration that a spec gives. Braces end the section of a host.
GIVEN = """run_as_root = true
data_path = %(dir)s .. "/data"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
c2s_interfaces = { "127.0.0.1" }
c2s_ports = { %(c2s)d }
http_ports = { %(http)d }
c2s_direct_tls_ports = {}
s2s_ports = {}
https_ports = {}
VirtualHost "probe.test" { modules_enabled = { "spec_probe" } }
"""


class Trouble(Exception):
    """What a person should be told, without a traceback."""


def quote(text):
    """A string of Lua."""
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else "\\%03d" % b for b in text.encode()) + '"'


def free_ports(count):
    """Ports that nothing listens on, below those that the kernel gives to outgoing connections."""
    found = []
    for port in random.sample(range(20000, 32000), 500):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise Trouble("no free port on 127.0.0.1 between 20000 and 31999")


# HTTP


class Http:
    """One TCP connection to the HTTP port. What is sent is sent as it is."""

    def __init__(self, port, timeout=PATIENCE):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.read = self.socket.makefile("rb")

    def close(self):
        self.read.close()
        self.socket.close()

    def exchange(self, request, answers=1):
        """Sends the bytes of one request, or of several, and reads as many answers."""
        with contextlib.suppress(ConnectionError):  # the answer may have come before the whole request was sent
            self.socket.sendall(request)
        return [self.answer(head_only=answers == 1 and request.startswith(b"HEAD ")) for _ in range(answers)]

    def answer(self, head_only=False):
        status, headers = self.head()
        while status < 200:
            status, headers = self.head()
        length = dict((name.lower(), value) for name, value in headers).get("content-length")
        if head_only or status in (204, 304):
            body = b""
        elif length is not None:
            body = self.read.read(int(length))
        else:
            body = self.read.read()
        return {"status": status, "headers": headers, "body": body}

    def head(self):
        line = self.read.readline().decode("latin-1")
        match = re.match(r"HTTP/1\.[01] (\d\d\d)", line)
        if not match:
            raise Trouble(f"not the start of an HTTP answer: {line!r}" if line else "connection closed without an answer")
        headers = []
        while line := self.read.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = line.partition(":")
            headers.append([name, value.strip()])
        return int(match[1]), headers


def http(port, request, answers=1, timeout=PATIENCE):
    """`Http.exchange` on a connection of its own."""
    try:
        with contextlib.closing(Http(port, timeout)) as connection:
            return connection.exchange(request, answers)
    except OSError as error:
        raise Trouble(f"no answer: {error}") from None


class Flow(threading.Thread):
    """Requests one after the other until stopped. Each eight zeros in the request become its number."""
    numbers = itertools.count(1)

    def __init__(self, port, request):
        super().__init__(daemon=True)
        self.port, self.request, self.going = port, request, True
        self.answers = collections.defaultdict(list)  # status (0: no answer) → numbers
        self.start()

    def run(self):
        connection = None
        while self.going:
            number = next(Flow.numbers)
            try:
                connection = connection or Http(self.port)
                answer = connection.exchange(self.request.replace(b"00000000", b"%08d" % number))[0]
                status = answer["status"]
                if ["connection", "close"] in [[name.lower(), value.lower()] for name, value in answer["headers"]]:
                    connection.close()  # after too many refusals, for example
                    connection = None
            except (OSError, Trouble):
                status, connection = 0, None
            self.answers[status].append(number)
            if not status:
                time.sleep(0.02)  # nobody is there for a while

    def stop(self):
        self.going = False
        self.join()
        return self.answers


# XMPP


class Tap:
    """Splits a stream into stanzas, byte for byte, with a strict parser beside the client's own."""

    def __init__(self, on_stanza):
        self.on_stanza, self.error = on_stanza, None
        self.restart()

    def restart(self):
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.depth, self.pending, self.raw, self.head = 0, b"", b"", None

    def start(self, name, attributes):
        self.depth += 1
        if self.depth == 2:
            self.head = name, attributes

    def end(self, _name):
        self.depth -= 1

    def feed(self, data):
        # Every tag ends with ">", so a stanza is complete after a piece that does.
        *pieces, self.pending = re.split(rb"(?<=>)", self.pending + data)
        for piece in pieces:
            if self.error:
                return
            self.raw += piece
            try:
                self.parser.Parse(piece, False)
            except expat.ExpatError as error:
                self.error = f"received what is not well-formed ({error}): {self.raw[-300:]!r}"
            if self.depth == 1:
                raw, self.raw, head, self.head = self.raw.lstrip(), b"", self.head, None
                if head:
                    self.on_stanza(*head, raw)


class Stream(slixmpp.ClientXMPP):
    """slixmpp, with a tap on what comes in."""

    def __init__(self, address, password, tap):
        self.tap = tap
        super().__init__(address, password)
        self["feature_mechanisms"].unencrypted_plain = True
        self["feature_mechanisms"].unencrypted_scram = True
        self.register_plugin("xep_0050")

    def open(self, port):
        if "address" in inspect.signature(self.connect).parameters:  # COMPAT slixmpp 1.8
            self.default_domain, self.default_port = "127.0.0.1", port  # what it would look up
            self.connect(("127.0.0.1", port), disable_starttls=True, force_starttls=False)
        else:
            self.enable_direct_tls = self.enable_starttls = False
            self.enable_plaintext = True
            self.connect("127.0.0.1", port)

    def init_parser(self):
        super().init_parser()
        self.tap.restart()

    def data_received(self, data):
        self.tap.feed(data)
        super().data_received(data)


class Client:
    """One logged-in account. `messages` and `presences` hold the raw bytes of each; `trouble` says why it is of no more use."""
    ids = itertools.count(1)

    def __init__(self, address, password):
        self.address, self.lost, self.ready, self.leaving = address, None, False, False
        self.messages, self.presences, self.answered, self.news = [], [], set(), asyncio.Event()
        self.tap = Tap(self.arrived)
        self.stream = Stream(address, password, self.tap)
        self.stream.add_event_handler("session_start", self.started)
        for name in ("disconnected", "connection_failed", "failed_all_auth"):
            self.stream.add_event_handler(name, lambda reason, name=name: self.ended(name, reason))

    @property
    def trouble(self):
        return self.tap.error or self.lost

    def started(self, _):
        self.ready = True
        self.news.set()

    def ended(self, name, reason):
        if not self.leaving:
            self.lost = self.lost or f"{name} {reason or ''}".strip()
            self.news.set()

    def arrived(self, name, attributes, raw):
        if name == "message":
            self.messages.append(raw)
        elif name == "presence":
            self.presences.append(raw)
        elif name == "iq":
            self.answered.add(attributes.get("id"))
        self.news.set()

    async def until(self, condition, what, timeout=PATIENCE):
        """Waits until condition() holds; raises Trouble with `what` was missing."""
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if self.trouble or left <= 0:
                raise Trouble(f"{self.address}: {self.trouble or what}")
            self.news.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.news.wait(), left)

    async def login(self, port):
        self.stream.open(port)
        await self.until(lambda: self.ready, "could not log in")
        self.send("<presence/>")  # not send_presence(), which what is sent raw would overtake
        await self.fence()

    async def fence(self):
        """Returns when everything that was routed to this client before has arrived."""
        number = f"fence-{next(Client.ids)}"
        domain = self.stream.boundjid.domain
        self.send(f"<iq type='get' id='{number}' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>")
        await self.until(lambda: number in self.answered, "no answer to a ping")

    def send(self, raw):
        self.stream.send_raw(raw)

    async def receive(self, timeout=PATIENCE):
        """The next message, as raw bytes."""
        await self.until(lambda: self.messages, "no message", timeout)
        return self.messages.pop(0)

    async def command(self, node, values=None, lang="en"):
        """Runs a command of the own server (XEP-0050), and sends the form that it shows with these values. > its last answer"""
        session = None
        while True:
            iq = self.stream.make_iq_set(ito=self.stream.boundjid.domain)
            iq["lang"], iq["command"]["node"] = lang, node
            if session:
                iq["command"]["sessionid"], iq["command"]["action"] = session, "complete"
                form = self.stream["xep_0004"].make_form(ftype="submit")
                for name, value in values.items():
                    form.add_field(var=name, ftype="jid-multi" if isinstance(value, list) else "text-single", value=value)
                iq["command"].append(form)
            try:
                command = (await iq.send(timeout=PATIENCE))["command"]
            except slixmpp.exceptions.IqError as error:
                return {"error": error.condition}
            if command["status"] == "completed" or values is None:
                break
            session = command["sessionid"]
        form = command["form"]
        notes = [[note.get("type"), note.text] for note in command.xml.findall("{http://jabber.org/protocol/commands}note")]
        return {
            "status": command["status"], "notes": notes, "title": form["title"], "items": form["items"],
            "values": {name: field["value"] for name, field in form.get_fields().items()},
            "labels": {name: field["label"] for name, field in form.get_fields().items()},
            "types": {name: field["type"] for name, field in form.get_fields().items()},
            "options": {name: field.get_options() for name, field in form.get_fields().items()},
        }

    async def commands(self, lang="en"):
        """The commands of the own server: node → name (XEP-0030)."""
        iq = self.stream.make_iq_get(ito=self.stream.boundjid.domain)
        iq["lang"], iq["disco_items"]["node"] = lang, "http://jabber.org/protocol/commands"
        answer = await iq.send(timeout=PATIENCE)
        return {node: name for _, node, name in answer["disco_items"]["items"]}

    def logout(self):
        self.leaving = True
        self.stream.auto_reconnect = False
        self.stream.abort()


# Prosody


class Server:
    """A Prosody in a temporary folder of its own.

    `hosts`: VirtualHost → {"accounts": {user: password}, "modules": […, default: post_msg], "lines": its own lines of
    configuration}. `components`: their sections of the configuration. `extra`: more global lines. `files`: path below the
    folder of the configuration → content. `environment`: variables → values. `config`: a whole configuration, in place of all
    these lines; only its paths are changed, and ports and test modules are added in front.
    """

    def __init__(self, hosts, components="", extra="", s2s=False, level="debug", plugin_dir=None, files=None, environment=None, config=None):
        self.config = config
        self.hosts, self.components, self.extra, self.s2s, self.level = hosts, components, extra, s2s, level
        self.files, self.environment = files or {}, {**os.environ, **(environment or {})}
        self.plugin_dir = plugin_dir or os.environ.get("PLUGIN_DIR", "")
        self.root = os.environ.get("PROSODY_ROOT", "").rstrip("/")
        self.process, self.dir, self.clients = None, None, {}

    async def start(self):
        if not os.path.isdir(self.plugin_dir + "/mod_post_msg"):
            raise Trouble(f"PLUGIN_DIR={self.plugin_dir} holds no folder mod_post_msg; `make install PLUGIN_DIR=…` makes one")
        self.dir = tempfile.mkdtemp(prefix="post_msg-", dir=self.root + "/tmp" if self.root else None)
        os.mkdir(self.dir + "/data")
        os.mkdir(self.dir + "/certs")
        shutil.copytree(HERE + "/modules", self.dir + "/helpers")
        shutil.copytree(self.plugin_dir + "/mod_post_msg", self.dir + "/plugins/mod_post_msg")
        os.chmod(self.dir, 0o755)
        for path, content in self.files.items():
            os.makedirs(os.path.dirname(f"{self.dir}/{path}"), exist_ok=True)
            with open(f"{self.dir}/{path}", "w", encoding="utf-8") as file:
                file.write(content)
        for _ in range(5):
            self.http_port, self.c2s_port = free_ports(2)
            self.configure()
            try:
                return await self.spawn()
            except PortTaken:
                os.remove(self.dir + "/prosody.log")
        raise Trouble("every port that looked free was taken by the time Prosody started")

    def configure(self):
        inside = self.dir[len(self.root):]
        with open(self.dir + "/prosody.cfg.lua", "w", encoding="utf-8") as config:
            if self.config is not None:
                text = self.config.replace('"/run/prosody/', f'"{inside}/').replace('"/var/log/prosody/', f'"{inside}/')
                text = text.replace("plugin_paths = { ", f"plugin_paths = {{ {quote(inside + '/plugins')}, {quote(inside + '/helpers')}, ")
                config.write(GIVEN % {"dir": quote(inside), "c2s": self.c2s_port, "http": self.http_port} + text)
                return
            config.write(GLOBAL % {"dir": quote(inside), "c2s": self.c2s_port, "http": self.http_port, "level": self.level,
                                   "disabled": "" if self.s2s else '"s2s"'})
            config.write(self.extra + "\n")
            for host, options in self.hosts.items():
                modules = ["spec_accounts", *options.get("modules", ["post_msg"])]
                accounts = options.get("accounts") or {}
                config.write(f"VirtualHost {quote(host)}\n\tmodules_enabled = {{ {', '.join(map(quote, modules))} }}\n\tspec_accounts = {{ ")
                config.write(", ".join(f"[{quote(user)}] = {quote(password)}" for user, password in accounts.items()))
                config.write(" }\n\t" + options.get("lines", "") + "\n")
            config.write('VirtualHost "probe.test"\n\tmodules_enabled = { "spec_probe" }\n')
            config.write(self.components + "\n")

    async def spawn(self):
        """Starts Prosody and returns when its ports answer."""
        executable = os.environ.get("PROSODY") or "prosody"
        if not self.root and "/" in executable:
            executable = os.path.abspath(executable)
        command = ["chroot", self.root] if self.root else []
        command += [executable, "--config", self.dir[len(self.root):] + "/prosody.cfg.lua", "-F"]
        with open(self.dir + "/output", "ab") as output:
            try:
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                                                env=self.environment)
            except OSError as error:
                raise Trouble(f"cannot run {command[0]}: {error.strerror}; is Prosody installed?") from None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(Trouble, OSError):
                self.version = await self.lua("return prosody.version")
                socket.create_connection(("127.0.0.1", self.c2s_port), 1).close()
                return
            if "Failed to open server port" in self.log():
                await self.kill()
                raise PortTaken
            await asyncio.sleep(0.02)
        await self.kill()
        with open(self.dir + "/output", errors="replace") as output:
            raise Trouble(f"Prosody did not start: {output.read()[-1000:]}\n{self.log()[-1000:]}")

    async def kill(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                await asyncio.to_thread(self.process.wait, 10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    async def stop(self):
        for address in list(self.clients):
            self.logout(address)
        try:
            await self.kill()
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.dir:
                self.unmount()
                shutil.rmtree(self.dir, ignore_errors=True)

    def data_on_disk(self, size):
        """Moves Prosody's data, while it runs, to a file system of its own, of so many bytes."""
        data, aside = self.dir + "/data", self.dir + "/data-aside"
        shutil.copytree(data, aside, ignore=shutil.ignore_patterns("*.sock"))
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "post_msg", data], capture_output=True, text=True)
        if mounted.returncode != 0:
            raise Trouble(mounted.stderr.strip())
        shutil.copytree(aside, data, dirs_exist_ok=True)

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", self.dir + "/data"], check=True)

    def unmount(self):
        if os.path.ismount(self.dir + "/data"):
            subprocess.run(["umount", "--lazy", self.dir + "/data"], check=True)

    def log(self):
        try:
            with open(self.dir + "/prosody.log", encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    async def lua(self, code):
        """Runs Lua inside Prosody and returns its result."""
        code = code.encode()
        request = b"POST /probe HTTP/1.1\r\nHost: probe.test\r\nContent-Length: %d\r\n\r\n" % len(code) + code
        answer = (await asyncio.to_thread(http, self.http_port, request))[0]
        try:
            result = json.loads(answer["body"])
        except ValueError:
            raise Trouble(f"Prosody answered a probe with {answer['status']}") from None
        if "problem" in result:
            raise Trouble(f"Lua in Prosody: {result['problem']}")
        return result.get("result")

    def prosodyctl(self, words, feed=""):
        """Runs prosodyctl beside the server. > what it wrote, and its exit status"""
        command = ["chroot", self.root] if self.root else []
        executable = os.environ.get("PROSODY") or "prosody"
        if not self.root and "/" in executable:
            executable = os.path.abspath(executable)
        command += [executable + "ctl", "--config", self.dir[len(self.root):] + "/prosody.cfg.lua", *words]
        done = subprocess.run(command, capture_output=True, input=feed.encode(), timeout=PATIENCE, env=self.environment)
        return {"out": done.stdout.decode("utf-8", "replace"), "err": done.stderr.decode("utf-8", "replace"), "status": done.returncode}

    async def login(self, address):
        user, _, host = address.partition("/")[0].rpartition("@")
        client = Client(address, self.hosts[host]["accounts"][user])
        self.clients[address] = client
        await client.login(self.c2s_port)
        return client

    def logout(self, address):
        self.clients.pop(address).logout()


class PortTaken(Exception):
    """Somebody took the port between looking and binding."""


# The control socket


class Control:
    """What a line of JSON can ask for: `do` is the name of a method here, the rest its arguments.

    Bytes (requests, bodies, stanzas) travel as base64.
    """

    def __init__(self):
        self.server, self.flows, self.connections = None, [], {}
        self.receiver, self.stream, self.pinger = None, None, None

    async def start(self, **options):
        await self.stop()
        self.server = Server(**options)
        try:
            await self.server.start()
        except BaseException:
            await self.stop()
            raise
        return {"dir": self.server.dir, "http_port": self.server.http_port, "c2s_port": self.server.c2s_port,
                "version": self.server.version}

    async def stop(self):
        while self.flows:
            self.flows.pop().stop()
        if self.receiver:
            await asyncio.to_thread(self.receiver.stop)
            self.receiver, self.stream = None, None
        while self.connections:
            self.connections.popitem()[1].close()
        if self.pinger:
            self.pinger.kill()
            self.pinger = None
        if self.server:
            await self.server.stop()
            self.server = None

    async def restart(self):
        """Prosody anew on the same data and ports. The clients have to log in again."""
        for address in list(self.server.clients):
            self.server.logout(address)
        await self.server.kill()
        await self.server.spawn()

    async def login(self, addresses):
        await asyncio.gather(*map(self.server.login, addresses))

    async def logout(self, addresses):
        for address in addresses:
            self.server.logout(address)

    async def send(self, address, stanza):
        self.server.clients[address].send(base64.b64decode(stanza).decode())

    async def receive(self, address, timeout=PATIENCE):
        return encode(await self.server.clients[address].receive(timeout))

    async def collect(self):
        """What every client has received by now, and which are in trouble."""
        clients = self.server.clients
        await asyncio.gather(*(client.fence() for client in clients.values()), return_exceptions=True)
        result = {"messages": {}, "trouble": []}
        for address, client in clients.items():
            result["messages"][address] = [encode(raw) for raw in client.messages]
            client.messages.clear()
            if client.trouble:
                result["trouble"].append(f"{address}: {client.trouble}")
        return result

    async def receive_presence(self, address, timeout=PATIENCE):
        """The next presence that a client receives."""
        client = self.server.clients[address]
        await client.until(lambda: client.presences, "no presence", timeout)
        return encode(client.presences.pop(0))

    async def collect_presences(self, address):
        """The presences that a client has received by now."""
        client = self.server.clients[address]
        await client.fence()
        found = [encode(raw) for raw in client.presences]
        client.presences.clear()
        return found

    async def ping(self, address):
        """Returns how many seconds the server took to answer the client's ping."""
        began = time.monotonic()
        await self.server.clients[address].fence()
        return time.monotonic() - began

    async def ping_on(self, user):
        """Starts pings without a pause, of another process, by a user of example.com whose password is "secret"."""
        sys.path.append(HERE + "/../../benches")
        import clients
        spawn = multiprocessing.get_context("spawn")
        self.pipe, pipe = spawn.Pipe()
        self.pinger = spawn.Process(target=clients.ping, args=(self.server.c2s_port, user, pipe), daemon=True)
        self.pinger.start()
        pipe.close()
        await asyncio.to_thread(self.pipe.recv)

    async def pinged(self):
        """The milliseconds that each ping took since this was asked last."""
        def ask():
            self.pipe.send(None)
            return self.pipe.recv()
        try:
            return await asyncio.to_thread(ask)
        except EOFError:
            raise Trouble("who pings was cut off") from None

    async def kill_hard(self):
        """kill -9. `restart` starts it again."""
        if self.stream:
            self.stream.open.clear()
        self.server.process.kill()
        self.server.process.wait()
        if self.stream:
            await asyncio.to_thread(self.receiver.await_, lambda: not self.receiver.connected, "the receiver's connection does not end")

    async def command(self, address, node, values=None, lang="en"):
        return await self.server.clients[address].command(node, values, lang)

    async def commands(self, address, lang="en"):
        return await self.server.clients[address].commands(lang)

    async def prosodyctl(self, words, feed=""):
        return await asyncio.to_thread(self.server.prosodyctl, words, feed)

    async def lua(self, code):
        return await self.server.lua(code)

    async def data_on_disk(self, size):
        self.server.data_on_disk(size)

    async def remount(self, options):
        self.server.remount(options)

    async def http(self, request, answers=1, connection=None, timeout=PATIENCE):
        """Sends bytes, reads answers; `connection` names a connection that is kept for later requests."""
        request = base64.b64decode(request)
        if connection is None:
            found = await asyncio.to_thread(http, self.server.http_port, request, answers, timeout)
        else:
            if connection not in self.connections:
                self.connections[connection] = Http(self.server.http_port, timeout)
            found = await asyncio.to_thread(self.connections[connection].exchange, request, answers)
        return [{**answer, "body": encode(answer["body"])} for answer in found]

    async def hang_up(self, connection):
        self.connections.pop(connection).close()

    async def flow(self, request, connections=2):
        """Starts sending requests without a pause."""
        self.flows = [Flow(self.server.http_port, base64.b64decode(request)) for _ in range(connections)]

    async def flow_on(self, count):
        """Returns when `count` more requests of the flow have been answered."""
        seen = lambda: sum(len(numbers) for flow in self.flows for numbers in list(flow.answers.values()))
        goal, deadline = seen() + count, time.monotonic() + PATIENCE
        while seen() < goal:
            if time.monotonic() > deadline:
                raise Trouble(f"the flow of requests has stopped at {seen()}")
            await asyncio.sleep(0.005)

    async def flow_stop(self):
        """The numbers of the requests sent, by the status of their answer (0: none)."""
        result = collections.defaultdict(list)
        while self.flows:
            for status, numbers in (await asyncio.to_thread(self.flows.pop().stop)).items():
                result[status] += numbers
        return result

    async def stream_start(self, requests, port, domain, secret, room, connections=4):
        """Starts a stream of requests with keys (kind → request), and its receiver; `stream_go` lets it flow."""
        self.receiver = Receiver(port, domain, secret, room, Tap)
        self.stream = Posts(Http, self.server.http_port, {kind: base64.b64decode(request) for kind, request in requests.items()}, connections)

    async def stream_go(self):
        """Lets requests flow as soon as the receiver is there."""
        await asyncio.to_thread(self.receiver.await_, lambda: self.receiver.joined, "the receiver does not join")
        self.stream.open.set()

    async def stream_on(self, count):
        """Returns when `count` more requests have been answered."""
        goal, deadline = self.stream.answered() + count, time.monotonic() + PATIENCE
        while self.stream.answered() < goal:
            if time.monotonic() > deadline:
                raise Trouble(f"the stream of requests has stopped: {dict(self.stream.statuses)}, waiting: {self.stream.waiting()}")
            await asyncio.sleep(0.002)

    async def stream_stop(self):
        """Ends the stream, repeats every request, and tells what was sent and what arrived."""
        await asyncio.to_thread(self.stream.stop)
        await asyncio.to_thread(self.stream.repeat)
        await asyncio.to_thread(self.receiver.fence, next(iter(self.server.hosts)), next(Client.ids))
        return {"records": self.stream.records, "statuses": self.stream.statuses, "bodies": self.receiver.bodies, "links": self.receiver.links}


def encode(data):
    return base64.b64encode(data).decode()


async def serve():
    control, finished = Control(), asyncio.Event()

    async def connected(reader, writer):
        listener.close()
        while line := await reader.readline():
            request = json.loads(line)
            try:
                answer = {"result": await getattr(control, request.pop("do"))(**request)}
            except (Trouble, OSError) as error:
                answer = {"problem": str(error)}
            except Exception as error:  # a mistake in a spec or here: told, not hidden
                answer = {"problem": repr(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
        finished.set()

    async def guarded(reader, writer):
        try:
            await connected(reader, writer)
        except ConnectionError:
            pass
        finally:
            finished.set()

    listener = await asyncio.start_server(guarded, "127.0.0.1", 0, limit=1 << 28)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, finished.set)
    try:
        print(listener.sockets[0].getsockname()[1], flush=True)
        await finished.wait()
    finally:
        await control.stop()


if __name__ == "__main__":
    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        sys.exit(130)
