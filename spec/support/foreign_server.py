#!/usr/bin/python3
"""foreign_server.py ADDRESS PORT [CERTIFICATE KEY]: an HTTP or HTTPS server that answers OPTIONS as the module does, and POST with an error that
contains a control character. For paths that begin with /slow, it sends a header every 0.2 seconds, without an end."""
import http.server
import ssl
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    def do_OPTIONS(self):
        self.send_response(200)
        while self.path.startswith("/slow"):
            self.send_header("X-Slow", "yes")
            self.flush_headers()
            time.sleep(0.2)
        self.send_header("Accept-Post", "application/x-ndjson")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        body = b'{"detail":"a\\u001bb"}'
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(422)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


address, port, *certificate = sys.argv[1:]
server = http.server.ThreadingHTTPServer((address, int(port)), Handler)
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
