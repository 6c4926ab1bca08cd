# SPDX-License-Identifier: Apache-2.0
"""Servers that tell which requests they saw on each connection: h11, a strict parser of HTTP/1 in
Python, and nginx. Neither is of our making, and both read bytes as they come.

The first request of each connection has the target /case/N, by which it is known."""
import contextlib
import json
import selectors
import signal
import socket
import threading

import h11

from procfs import PATIENCE
from servers import Nginx, listen


class Seen:
    """One request as a server saw it. LENGTH counts all its bytes, framing included, and is None
    where its end did not come. CLOSES: the server has refused it, or (h11) was asked to read no further
    request on this connection."""

    def __init__(self, method, path):
        self.method, self.path = method, path
        self.length, self.closes = None, False

    def __repr__(self):
        return f"{self.method} {self.path} ({self.length}{', last' if self.closes else ''})"


def path_of(method, target):
    """The path of a target of any form, as sluice's record has it: empty for CONNECT."""
    if method == "CONNECT":
        return ""
    if target.lower().startswith(("http://", "https://")):
        _, slash, path = target.split("//", 1)[1].partition("/")
        return slash + path or "/"
    return target


class H11Connection:
    def __init__(self, sock):
        self.sock = sock
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 17)
        self.requests, self.error = [], None
        self.arrived = self.before = 0
        self.ended = False

    def take(self):
        """Read what has come. False at the end."""
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            return False
        self.arrived += len(data)
        if not self.ended:
            try:
                self.http.receive_data(data)
                self._events()
            except h11.RemoteProtocolError as error:
                self.error = str(error)
                self._end()
        return bool(data)

    def _say(self, event):
        with contextlib.suppress(OSError):
            self.sock.sendall(self.http.send(event))

    def _end(self):
        self.ended = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def _events(self):
        while not self.ended:
            event = self.http.next_event()
            if isinstance(event, h11.Request):
                self._on_request(event)
            elif isinstance(event, h11.EndOfMessage):
                self._on_end()
            elif isinstance(event, h11.ConnectionClosed):
                self._end()
            elif event in (h11.NEED_DATA, h11.PAUSED):
                return

    def _on_request(self, event):
        method, target = event.method.decode(), event.target.decode()
        self.requests.append(Seen(method, path_of(method, target)))
        if self.http.they_are_waiting_for_100_continue:
            self._say(h11.InformationalResponse(status_code=100, headers=[]))

    def _on_end(self):
        at = self.arrived - len(self.http.trailing_data[0])
        self.requests[-1].length = at - self.before
        self.before = at
        code = 405 if self.requests[-1].method == "CONNECT" else 200
        self._say(h11.Response(status_code=code, headers=[("content-length", "0")]))
        self._say(h11.EndOfMessage())
        if self.http.our_state is h11.MUST_CLOSE:
            self.requests[-1].closes = True
            self._end()
        else:
            self.http.start_next_cycle()


class H11Witness:
    """Listens on two ports. A context manager."""
    name = "h11"

    def __init__(self):
        self.sockets = [listen(), listen()]
        self.addresses = [sock.getsockname() for sock in self.sockets]
        self.connections = [[], []]
        self.stopping = False
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        for sock in self.sockets:
            sock.close()

    def _serve(self):
        with selectors.DefaultSelector() as selector:
            for number, sock in enumerate(self.sockets):
                selector.register(sock, selectors.EVENT_READ, number)
            while not self.stopping:
                for key, _ in selector.select(0.05):
                    if isinstance(key.data, int):
                        self._accept(selector, key)
                    elif not key.data.take():
                        selector.unregister(key.fileobj)
                        key.fileobj.close()

    def _accept(self, selector, key):
        connection = H11Connection(key.fileobj.accept()[0])
        self.connections[key.data].append(connection)
        selector.register(connection.sock, selectors.EVENT_READ, connection)

    def seen(self, number):
        """{case: connection} at one of the two ports: .requests, .error (what it did not take for
        HTTP) and .arrived, the number of bytes."""
        return {_case(c.requests): c for c in self.connections[number] if c.arrived}


def _case(requests):
    prefix = "/case/"
    assert requests[0].path.startswith(prefix), f"a connection begins with {requests[0]}"
    return int(requests[0].path[len(prefix):])


# The outer server hands everything on to the inner one, so that it has to read every body.
CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error info;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    log_format seen escape=json '{{"connection":$connection,"port":$server_port,"line":"$request",'
        '"length":$request_length,"status":$status}}';
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    keepalive_requests 10000;
    client_max_body_size 0;
    proxy_ignore_client_abort on;
    server {{
        listen 127.0.0.1:{port};
        listen [::1]:{port6} ipv6only=on;
        access_log {folder}/nginx.access seen;
        location / {{ proxy_pass http://unix:{folder}/inner:; }}
    }}
    server {{
        listen unix:{folder}/inner;
        location / {{ return 200; }}
    }}
}}
"""


class NginxWitness(Nginx):
    config = CONFIG

    @property
    def addresses(self):
        return [self.address, ("::1", self.port6)]

    def finish(self):
        """End, once everything that was begun is over and in the log."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(PATIENCE)

    def seen(self, number):
        """{case: [Seen]} at one of the two ports, after finish()."""
        connections = {}
        for line in map(json.loads, self._read("nginx.access").splitlines()):
            if line["port"] != self.addresses[number][1]:
                continue
            method, target = line["line"].split(" ")[:2]
            seen = Seen(method, path_of(method, target))
            if line["status"] == 200:
                seen.length = line["length"]
            seen.closes = line["status"] != 200
            connections.setdefault(line["connection"], []).append(seen)
        return {_case(requests): requests for requests in connections.values()}
