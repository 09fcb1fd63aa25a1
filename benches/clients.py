"""XMPP clients on a plain socket. Each runs in its own process, so that its measurements do not wait for other Python code."""
import base64
import contextlib
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../spec/support")
import world  # noqa: E402

HOST = "example.com"


def login(port, user):
    """Returns a socket that is logged in."""
    stream = socket.create_connection(("127.0.0.1", port), world.PATIENCE)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = (f"<?xml version='1.0'?><stream:stream to='{HOST}' version='1.0' xmlns='jabber:client' "
            "xmlns:stream='http://etherx.jabber.org/streams'>")
    plain = base64.b64encode(f"\0{user}\0secret".encode()).decode()
    for line, answer in (
            (head, b"</stream:features>"),
            (f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>", b"<success"),
            (head, b"</stream:features>"),
            ("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", b"</iq>"),
            ("<presence/>", b"<presence")):
        stream.sendall(line.encode())
        seen = b""
        while answer not in seen:
            seen += stream.recv(65536)
    stream.settimeout(None)
    return stream


def receive(port, user, received, ready):
    """Counts the messages that arrive."""
    stream = login(port, user)
    ready.set()
    end = b""
    while data := stream.recv(1 << 20):
        data = end + data
        received.value += data.count(b"<message ")
        end = data[-len(b"<message ") + 1:]


def ping(port, user, pipe):
    """Pings the server without a break. On request, it sends the times since the last request, in milliseconds."""
    with contextlib.suppress(PermissionError):
        os.nice(-10)  # so that this process does not wait for the CPU, which would look like a slow server
    stream = login(port, user)
    stream.settimeout(world.PATIENCE)
    pings, number = [], 0
    pipe.send(None)
    while True:
        number += 1
        begin = time.monotonic()
        stream.sendall(b"<iq type='get' id='p%d' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>" % (number, HOST.encode()))
        seen = b""
        while b"p%d'" % number not in seen and b'p%d"' % number not in seen:
            seen += stream.recv(65536)
        pings.append((time.monotonic() - begin) * 1000)
        if pipe.poll(0.003):
            pipe.recv()
            pipe.send(pings)
            pings = []
