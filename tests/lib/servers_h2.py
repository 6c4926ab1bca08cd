# SPDX-License-Identifier: Apache-2.0
"""Servers of HTTP/2 without TLS: nginx, nghttpd, and one of python3-h2."""
import hashlib
import os
import shutil
import socket
import subprocess
import threading

from procfs import PATIENCE, wait_until
from servers import NGINX_CONFIG, Nginx, listen, unused_port

PEERS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "e2e", "peers")


class NginxH2(Nginx):
    config = NGINX_CONFIG.replace("{port};", "{port} http2;").replace(
        "ipv6only=on", "ipv6only=on http2").replace(
        "error_log", "worker_rlimit_nofile 65536;\nerror_log").replace(
        "default_type", "http2_max_concurrent_streams 1000; keepalive_requests 1000000;\n"
        "        default_type")


class Nghttpd:
    """Serves the folder's files."""
    name = "nghttpd"

    def __init__(self, folder):
        self.folder = os.path.join(folder, "nghttpd")
        self.process = None

    def __enter__(self):
        os.makedirs(os.path.join(self.folder, "files"))
        self.port = unused_port()
        self.address = "127.0.0.1", self.port
        program = shutil.which("nghttpd") or "/usr/sbin/nghttpd"
        self.process = subprocess.Popen(
            [program, "--no-tls", "-a", "127.0.0.1", "-d", self.folder, str(self.port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "nghttpd answers")
        return self

    def _answers(self):
        assert self.process.poll() is None, "nghttpd has ended"
        with socket.socket() as sock:
            return sock.connect_ex(self.address) == 0

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait(PATIENCE)

    def put_file(self, name, content):
        with open(os.path.join(self.folder, "files", name), "wb") as file:
            file.write(content)


def digest(fields):
    """Of decoded fields, in order."""
    return hashlib.sha256(repr([(bytes(n), bytes(v)) for n, v in fields]).encode()).hexdigest()


class EchoH2:
    """Answers each request with the digest of its fields; on a library that is not nghttp2's."""

    def __init__(self):
        self.sock = listen()
        self.port = self.sock.getsockname()[1]
        self.paths, self.errors = [], []
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.sock.close()
        self.thread.join(PATIENCE)

    def _serve(self):
        import h2.config
        import h2.connection
        import h2.events
        try:
            sock, _ = self.sock.accept()
            connection = h2.connection.H2Connection(
                h2.config.H2Configuration(client_side=False, header_encoding=None))
            connection.initiate_connection()
            while data := (sock.sendall(connection.data_to_send()), sock.recv(1 << 16))[1]:
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        self._answer(connection, event)
            sock.close()
        except Exception as error:  # the scene looks at it
            self.errors.append(repr(error))

    def _answer(self, connection, event):
        self.paths.append(dict(event.headers)[b":path"].decode())
        n = len(self.paths)
        connection.send_headers(event.stream_id, [
            (":status", "200"), ("digest", digest(event.headers)), (f"x-{n % 7}", f"{n % 50}" * 9),
        ], end_stream=True)
        if n % 97 == 0:
            connection.update_settings({1: (0, 64, 4096, 20000)[n // 97 % 4]})
