"""A stream of requests with an Idempotency-Key each, and a receiver that outlives Prosody and keeps the ledger."""
import collections
import contextlib
import hashlib
import itertools
import re
import socket
import threading
import time

BODY = re.compile(rb"<body>([^<]*)</body>")


class Receiver(threading.Thread):
    """An external component (XEP-0114) that is in a room as well. It connects again whenever it has lost its connection."""

    def __init__(self, port, domain, secret, room, tap):
        super().__init__(daemon=True)
        self.port, self.domain, self.secret, self.room, self.tap_class = port, domain, secret, room, tap
        self.bodies = collections.Counter()  # text of a message → how often it arrived
        self.links = {}  # text → the URL that came with it
        self.going, self.connected, self.joined, self.answered, self.news = True, False, False, set(), threading.Condition()
        self.socket = None
        self.start()

    def run(self):
        while self.going:
            with contextlib.suppress(OSError):
                self.session()
            self.tell(connected=False, joined=False)
            time.sleep(0.02)

    def tell(self, **changes):
        with self.news:
            vars(self).update(changes)
            self.news.notify_all()

    def session(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as self.socket:
            self.socket.settimeout(None)
            self.tell(connected=True)
            self.tap = self.tap_class(self.arrived)
            self.opened = b""
            self.socket.sendall(b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>"
                                % self.domain.encode())
            while data := self.socket.recv(1 << 16):  # what was sent before the kill is still read
                if not self.opened:
                    self.opened = data
                    number = re.search(rb" id=['\"]([^'\"]*)", data)[1]
                    self.socket.sendall(b"<handshake>%s</handshake>" % hashlib.sha1(number + self.secret.encode()).hexdigest().encode())
                self.tap.feed(data)

    def arrived(self, name, attributes, raw):
        kind = attributes.get("type")
        if name == "handshake":
            self.socket.sendall(f"<presence from='watch@{self.domain}/w' to='{self.room}/watch'>"
                                "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>".encode())
        elif name == "presence" and attributes.get("from") == self.room + "/watch" and kind is None:
            self.tell(joined=True)
        elif name == "iq" and kind in ("get", "set"):
            self.socket.sendall(f"<iq type='error' id='{attributes['id']}' from='{self.domain}' to='{attributes['from']}'><error type='cancel'>"
                                "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>".encode())
        elif name == "iq":
            self.tell(answered=self.answered | {attributes.get("id")})
        elif name == "message" and kind != "error" and (body := BODY.search(raw)):
            text = body[1].decode()
            self.bodies[text] += 1
            if link := re.search(rb"<url>([^<]*)</url>", raw):
                self.links[text] = link[1].decode()

    def await_(self, condition, what, timeout=20):
        with self.news:
            if not self.news.wait_for(condition, timeout):
                raise TimeoutError(what)

    def fence(self, domain, number):
        """Returns when all stanzas that were routed here earlier have arrived."""
        self.socket.sendall(f"<iq type='get' id='fence-{number}' from='watch@{self.domain}/w' to='{domain}'>"
                            "<ping xmlns='urn:xmpp:ping'/></iq>".encode())
        self.await_(lambda: f"fence-{number}" in self.answered, "no answer to the receiver's ping")

    def stop(self):
        self.going = False
        with contextlib.suppress(OSError, AttributeError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.join(5)


class Posts:
    """Posts requests of all kinds over several connections, and repeats each with the same key until its answer is final."""

    def __init__(self, http, port, requests, connections):
        self.http, self.port, self.requests = http, port, requests  # kind → the bytes of a request, its number as eight zeros
        self.kinds = list(requests)
        self.numbers = itertools.count(1)
        self.records = {}  # number → {"kind", "cuts": the number of kills during its request, "status": the final one}
        self.statuses = collections.Counter()  # of every answer
        self.open, self.going = threading.Event(), True
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(connections)]
        for thread in self.threads:
            thread.start()

    def run(self):
        connection = None
        while self.going:
            self.open.wait()
            number = next(self.numbers)
            kind = self.kinds[number % len(self.kinds)]
            record = self.records[number] = {"kind": kind, "cuts": 0}
            # One request in five is repeated at once after its answer; a kill may interrupt the repetition too.
            for again in range(2 if number % 5 == 0 else 1):
                record["again"] = again
                connection = self.settle(connection, record, number)

    def settle(self, connection, record, number):
        request = self.requests[record["kind"]].replace(b"00000000", b"%08d" % number)
        while True:
            self.open.wait()
            try:
                connection = connection or self.http(self.port)
            except OSError:  # nothing was sent
                time.sleep(0.01)
                continue
            try:
                status = connection.exchange(request)[0]["status"]
            except Exception:  # pylint: disable=broad-except # the connection has ended amid it
                connection = None
                if "status" not in record:
                    record["cuts"] += 1
                continue
            self.statuses[status] += 1
            if status != 409 and status < 500:
                if record.setdefault("status", status) != status:
                    record["other"] = status
                return connection
            time.sleep(0.01)

    def answered(self):
        return sum("status" in record for record in list(self.records.values()))

    def waiting(self):
        return [(number, record) for number, record in list(self.records.items()) if "status" not in record]

    def stop(self):
        """Returns when all running requests are answered."""
        self.going = False
        for thread in self.threads:
            thread.join()

    def repeat(self):
        """Repeats every request once."""
        connection = None
        for number, record in sorted(self.records.items()):
            connection = self.settle(connection, record, number)
