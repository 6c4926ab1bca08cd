# SPDX-License-Identifier: Apache-2.0
"""Ordinary clients against ordinary servers, over every kind of address."""
import os
import shutil
import subprocess
import tempfile

import pytest

from doors import go_compiler, go_environment
from procfs import PATIENCE
from websocket import BINARY, CLOSE, PING, PONG, EchoServer, accept_key, frame, read_frame

PEERS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "peers")
HOSTS = "127.0.0.1 localhost\n::1 localhost\n"

POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: peers
spec:
  endpointSelector: {{}}
  egress:
  - toCIDR:
    - 127.0.0.0/8
    - ::1/128
    toPorts:
    - ports:
      - port: "{port}"
        protocol: TCP
      - port: "{port6}"
        protocol: TCP
      rules:
        http:
        - method: GET
          path: /public/.*
"""


def tool(name):
    found = shutil.which(name)
    if not found:
        pytest.skip(f"no {name} here")
    return found


@pytest.fixture(scope="session")
def go_program():
    """The Go peer, built from the standard library alone."""
    go = go_compiler() or pytest.skip("no go here")
    with tempfile.TemporaryDirectory(prefix="sluice-go-") as folder:
        program = os.path.join(folder, "fetch")
        subprocess.run([go, "build", "-o", program, os.path.join(PEERS, "fetch.go")], check=True,
                       env=go_environment())
        yield program


@pytest.fixture(params=["curl", "wget", "http.client", "fetch", "net/http"])
def peer(request):
    """The command that fetches the URLs behind it."""
    if request.param == "net/http":
        return [request.getfixturevalue("go_program")]
    return {
        "curl": lambda: tool("curl") and ["sh", f"{PEERS}/curl.sh"],
        "wget": lambda: tool("wget") and ["sh", f"{PEERS}/wget.sh"],
        "http.client": lambda: ["/usr/bin/python3", f"{PEERS}/http_client.py"],
        "fetch": lambda: [tool("node"), f"{PEERS}/fetch.mjs"],
    }[request.param]()


@pytest.fixture(params=["nginx", "origin"])
def real_server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def both_localhosts(folder):
    """A command before sluice that gives it and its command a `localhost` with both addresses,
    whatever this machine's /etc/hosts says."""
    hosts = os.path.join(folder, "hosts")
    with open(hosts, "w") as file:
        file.write(HOSTS)
    return ["unshare", "--mount", "--propagation", "slave", "sh", "-c",
            'mount --bind "$0" /etc/hosts && exec "$@"', hosts]


def denials_of(result):
    return result.err.splitlines()


def fetch(sluice, peer, server, prefix, paths):
    """[(status, body)] for each path at each kind of address."""
    origins = [f"http://127.0.0.1:{server.port}", f"http://[::1]:{server.port6}",
               f"http://[::ffff:127.0.0.1]:{server.port}",
               f"http://localhost:{server.port}", f"http://localhost:{server.port6}"]
    urls = [origin + path for origin in origins for path in paths]
    result = sluice.run(*peer, *urls, prefix=prefix, log=True, timeout=4 * PATIENCE,
                        policy=POLICY.format(port=server.port, port6=server.port6))
    assert result.code == 0, result.err
    lines = result.out.decode().splitlines()
    assert len(lines) == len(urls), lines
    answers = []
    for line in lines:
        status, _, body = line.partition(" ")
        answers.append((int(status), bytes.fromhex(body)))
    return urls, answers, result


def test_allowed_requests_pass(sluice, peer, real_server, both_localhosts):
    urls, answers, result = fetch(sluice, peer, real_server, both_localhosts, ["/public/a"])
    expected = f"{real_server.name} GET /public/a\n".encode()
    assert dict(zip(urls, answers)) == dict.fromkeys(urls, (200, expected))
    assert real_server.requests() == ["GET /public/a"] * len(urls)
    assert denials_of(result) == []


@pytest.mark.held
def test_denied_requests_are_answered(sluice, peer, real_server, both_localhosts):
    """Each between two allowed ones, on the same connection if the client keeps it."""
    urls, answers, result = fetch(sluice, peer, real_server, both_localhosts,
                                  ["/public/a", "/secret", "/public/b"])
    for url, answer in zip(urls, answers):
        path = url[url.index("/", len("http://")):]
        denied = (403, b"Access denied\r\n")
        allowed = (200, f"{real_server.name} GET {path}\n".encode())
        assert answer == (denied if path == "/secret" else allowed), (url, answers)
    assert sorted(real_server.requests()) == ["GET /public/a"] * 5 + ["GET /public/b"] * 5
    assert result.denied("/secret: no rule allows it; nearest: rules.http[0] of policy "
                         '"peers" differs in path') == 5
    assert all("/secret" in line for line in denials_of(result))
    dropped = [record for record in result.log if record["verdict"] == "DROPPED" and "l7" in record]
    assert len(dropped) == 5 and all(record["l7"]["code"] == 403 for record in dropped)


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.long)])
def test_websocket_client_of_node(count, sluice, server):
    """An independent peer, whose messages grow with the square of their number."""
    node = tool("node")
    help_text = subprocess.run([node, "--help"], capture_output=True, text=True).stdout
    flags = ["--experimental-websocket"] if "--experimental-websocket" in help_text else []
    has_client = [node, *flags, "-e", "process.exit(typeof WebSocket == 'function' ? 0 : 1)"]
    if subprocess.run(has_client).returncode != 0:
        pytest.skip("no WebSocket client of node here")     # Debian 12's own is too old
    echo = EchoServer(server)
    policy = POLICY.format(port=server.port, port6=server.port)
    result = sluice.run(node, *flags, f"{PEERS}/websocket.mjs",
                        f"ws://127.0.0.1:{server.port}/public/ws", str(count), policy=policy,
                        timeout=6 * PATIENCE)
    echo.join(PATIENCE)
    assert echo.error is None
    assert result.out.decode() == f"closed 1000 done {count}\n", result.err
    assert result.err == ""


def test_websocket_frames_both_ways(sluice, server):
    echo = EchoServer(server)
    workload = sluice.workload(POLICY.format(port=server.port, port6=server.port))
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    with workload.connect(server.address) as client:
        client.send(b"GET /public/ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: " + key + b"\r\n\r\n")
        assert accept_key(key) in client.read_head()
        for number in range(200):
            payload = os.urandom(number * 37 % 3000)
            client.send(frame(PING, b"%d" % number, b"ping") + frame(BINARY, payload, b"mask"))
            assert read_frame(client) == (True, PONG, b"%d" % number)
            assert read_frame(client) == (True, BINARY, payload)
        client.send(frame(CLOSE, b"\x03\xe8", b"bye!"))
        assert read_frame(client) == (True, CLOSE, b"\x03\xe8")
        assert client.read_to_end() == b""
    echo.join(PATIENCE)
    assert echo.error is None and echo.messages == 200
    assert workload.finish().err == ""


@pytest.mark.held
def test_file_of_nginx_in_parts(sluice, nginx):
    """sendfile, ranges and conditional requests: responses as a real server makes them."""
    content = os.urandom(3_000_001)
    nginx.put_file("blob", content)
    policy = POLICY.format(port=nginx.port, port6=nginx.port6).replace("/public/", "/files/")
    workload = sluice.workload(policy)
    with workload.connect(nginx.address) as client:
        for more, status, body in [
                (b"", 200, content),
                (b"Range: bytes=1000-1999\r\n", 206, content[1000:2000]),
                (b"If-None-Match: *\r\n", 304, b""),
                (b"Range: bytes=9000000-\r\n", 416, None),
                (b"Connection: close\r\n", 200, content)]:
            client.send(b"GET /files/blob HTTP/1.1\r\nHost: h\r\n" + more + b"\r\n")
            response = client.read_response(to_head=status == 304)
            assert response.status == status
            assert body is None or response.body == body
        assert client.read_to_end() == b""
    assert workload.finish().err == ""
