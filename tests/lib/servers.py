# SPDX-License-Identifier: Apache-2.0
"""The servers at the other side: nginx, Python's own, and one whose words the scene chooses."""
import contextlib
import http.server
import os
import select
import shutil
import signal
import socket
import subprocess
import threading

from ends import End
from procfs import PATIENCE, wait_until


def listen(address="127.0.0.1", port=0, backlog=4096):
    """A listening socket on a port that the kernel picks."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _hold(address, port):
    """Nobody listens there as long as this socket lives, nor does it."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def listen_pair():
    """Two sockets, 127.0.0.1 and ::1, each on a port at which the other family has nobody. And two
    that keep it so."""
    for _ in range(100):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            four, six = (stack.enter_context(listen(address)) for address in ("127.0.0.1", "::1"))
            holds = [stack.enter_context(_hold(address, sock.getsockname()[1]))
                     for address, sock in (("::1", four), ("127.0.0.1", six))]
            stack.pop_all()
            return [four, six], holds
    raise OSError("no two ports of which the other family is free")


def unused_port(address="127.0.0.1"):
    """A port at which nobody listens. It was just free, and the kernel does not hurry to give a
    port out again."""
    with listen(address) as sock:
        return sock.getsockname()[1]


class RawServer:
    """A listener whose connections the scene accepts and answers byte by byte."""

    def __init__(self, address="127.0.0.1", port=0):
        self.sock = listen(address, port)
        self.sock.settimeout(PATIENCE)
        self.address = self.sock.getsockname()[:2]
        self.port = self.address[1]
        self.ends = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in self.ends:
            end.close()
        self.sock.close()

    def accept(self):
        sock, _ = self.sock.accept()
        end = End(sock, "server")
        self.ends.append(end)
        return end

    def nobody_came(self):
        """No connection waits to be accepted."""
        return not select.select([self.sock], [], [], 0)[0]


class UdpServer:
    def __init__(self, address="127.0.0.1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind((address, 0))
        self.sock.settimeout(PATIENCE)
        self.address = self.sock.getsockname()[:2]
        self.port = self.address[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def receive(self):
        return self.sock.recvfrom(1 << 16)

    def got_nothing(self):
        return not select.select([self.sock], [], [], 0)[0]


class _OriginHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        self.server.requests.append((self.command, self.path, body))
        self.server.fields.append(self.headers.items())
        reply = f"python {self.command} {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


class _PythonServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, sock):
        super().__init__(sock.getsockname(), _OriginHandler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.server_address = sock, sock.getsockname()
        self.requests, self.fields = [], []


class Origin:
    """Python's http.server on 127.0.0.1 and on ::1, on two ports. Remembers every request."""
    name = "python"

    def __init__(self):
        self.servers, self.threads, self.holds = [], [], []

    def __enter__(self):
        sockets, self.holds = listen_pair()
        self.servers = [_PythonServer(sock) for sock in sockets]
        self.port, self.port6 = (s.server_address[1] for s in self.servers)
        self.address = "127.0.0.1", self.port
        self.threads = [threading.Thread(target=s.serve_forever, args=(0.01,), daemon=True)
                        for s in self.servers]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for server, thread in zip(self.servers, self.threads):
            server.shutdown()
            thread.join()
            server.server_close()
        for sock in self.holds:
            sock.close()

    def requests(self):
        """["GET /path", ...] in the order in which they came."""
        return [f"{method} {path}" for server in self.servers
                for method, path, _ in server.requests]

    def fields(self):
        """[[(name, value), ...], ...]: the header fields of each of them."""
        return [fields for server in self.servers for fields in server.fields]


NGINX_CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    log_format requests "$request";
    access_log {folder}/nginx.access requests;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port};
        listen [::1]:{port6} ipv6only=on;
        default_type text/plain;
        location / {{ return 200 "nginx $request_method $request_uri\\n"; }}
        location /files/ {{ alias {folder}/files/; }}
    }}
}}
"""


class Nginx:
    """A real nginx on 127.0.0.1 and on ::1, on two ports. It inherits its listening sockets, so
    that nobody can take the ports in between."""
    name = "nginx"
    config = NGINX_CONFIG

    def __init__(self, folder):
        self.folder = os.path.join(folder, "nginx")
        self.process = None
        self.holds = []

    def __enter__(self):
        os.makedirs(os.path.join(self.folder, "files"))
        os.chmod(self.folder, 0o755)
        with contextlib.ExitStack() as stack:
            sockets, self.holds = listen_pair()
            for sock in sockets:
                stack.enter_context(sock)
            self.port, self.port6 = (sock.getsockname()[1] for sock in sockets)
            self.address = "127.0.0.1", self.port
            self._start(sockets)
        return self

    def _start(self, sockets):
        config = os.path.join(self.folder, "nginx.conf")
        with open(config, "w") as file:
            file.write(self.config.format(folder=self.folder, port=self.port,
                                          port6=self.port6))
        fds = [sock.fileno() for sock in sockets]
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        with open(os.path.join(self.folder, "nginx.output"), "wb") as output:
            self.process = subprocess.Popen(
                [program, "-c", config, "-p", self.folder], pass_fds=fds, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output,
                env={**os.environ, "NGINX": "".join(f"{fd};" for fd in fds)})
        wait_until(self._answers, "nginx answers")

    def _answers(self):
        assert self.process.poll() is None, self._read("nginx.error") + self._read("nginx.output")
        return os.path.exists(os.path.join(self.folder, "nginx.pid"))

    def _read(self, name):
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(self.folder, name)) as file:
                return file.read()
        return ""

    def __exit__(self, *_):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)
        for sock in self.holds:
            sock.close()

    def put_file(self, name, content):
        with open(os.path.join(self.folder, "files", name), "wb") as file:
            file.write(content)

    def requests(self):
        """["GET /path", ...] as its own log has them. It writes a line when the request is over,
        so ask once the client is done."""
        return [line.rpartition(" ")[0] for line in self._read("nginx.access").splitlines()]
