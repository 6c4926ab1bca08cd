# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 without TLS, with clients and servers that nobody here wrote."""
import os
import random
import re
import shutil
import subprocess

import pytest

from procfs import PATIENCE
from servers_h2 import PEERS, EchoH2, Nghttpd, NginxH2, digest

POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: h2
spec:
  endpointSelector: {}
  egress:
  - toPorts:
    - ports: [{port: "%d", protocol: TCP}]
      rules: {%s}
"""
FILES = 'http: [{path: "/files/public.*", method: GET}]'
SANITIZED = "SLUICE_SANITIZED" in os.environ


def tool(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    if not found:
        pytest.skip(f"no {name} here")
    return found


@pytest.fixture(params=[NginxH2, Nghttpd], ids=["nginx", "nghttpd"])
def files(request, folder):
    with request.param(folder) as server:
        server.put_file("public", b"for all\n")
        server.put_file("public-large", bytes(300_000))
        server.put_file("secret", b"hush\n")
        yield server


def sums(text):
    """What h2load says: how many requests succeeded, and how many had a 2xx and a 4xx."""
    done = re.search(r"requests: (\d+) total.* (\d+) succeeded, (\d+) failed, (\d+) errored", text)
    codes = re.search(r"(\d+) 2xx, \d+ 3xx, (\d+) 4xx", text)
    return tuple(map(int, (done[1], done[4], codes[1], codes[2])))


def load(sluice, files, paths, requests):
    urls = [f"http://127.0.0.1:{files.port}/files/{path}" for path in paths]
    command = [tool("h2load"), "-c10", "-m100", f"-n{requests}", *urls]
    run = sluice.run(*command, policy=POLICY % (files.port, FILES), timeout=300)
    assert run.code == 0, run.err
    return run, sums(run.out.decode() if run.out else "")


@pytest.mark.held
def test_curl(sluice, files):
    """One connection each: this curl cannot use one of prior knowledge again."""
    fetch = (f"curl -sS --http2-prior-knowledge -w '%{{http_code}} %{{http_version}} %{{size_download}}\n'"
             f" -o /dev/null http://127.0.0.1:{files.port}/files/")
    result = sluice.run("sh", "-c", f"{fetch}public; {fetch}public-large; {fetch}secret",
                        policy=POLICY % (files.port, FILES), log=True)
    assert result.out.decode().splitlines() == ["200 2 8", "200 2 300000", "403 2 0"], result.err
    assert result.denied("GET") == 1 and result.stats["conn.opened"] == 3
    # curl does not wait for the server's last words, and its kernel may refuse them.
    assert result.closed("done") + result.closed("client_reset") == 3
    records = [(r["verdict"], r["l7"]["type"], r["l7"]["protocol"], r["l7"].get("code"))
               for r in result.log]
    forwarded = [("FORWARDED", "REQUEST", "HTTP/2", None), ("FORWARDED", "RESPONSE", "HTTP/2", 200)]
    assert records == [*forwarded, *forwarded, ("DROPPED", "REQUEST", "HTTP/2", 403)]
    assert all(r["l7"]["stream"] % 2 == 1 for r in result.log)
    assert all(r["l7"]["latency_ns"] > 0 for r in result.log if r["l7"]["type"] == "RESPONSE")


@pytest.mark.held
def test_nghttp_multiplexes(sluice, files):
    urls = [f"http://127.0.0.1:{files.port}/files/{name}"
            for name in ("public", "secret", "public-large")]
    result = sluice.run(tool("nghttp"), "-nv", "--no-dep", *urls,
                        policy=POLICY % (files.port, FILES))
    statuses = re.findall(rb":status: (\d+)", result.out)
    assert sorted(statuses) == [b"200"] * 2 + [b"403"], result.out
    assert result.stats["conn.opened"] == 1


@pytest.mark.held
@pytest.mark.parametrize("requests", [
    2000 if not SANITIZED else 400, pytest.param(20000, marks=pytest.mark.long)])
def test_load(requests, sluice, files):
    """All is allowed: all 2xx. Half of it is denied: exactly half 4xx, and no connection is lost."""
    run, found = load(sluice, files, ["public"], requests)
    assert found == (requests, 0, requests, 0) and run.closed("done") == 10
    run, found = load(sluice, files, ["public", "secret"], requests)
    assert found == (requests, 0, requests // 2, requests // 2) and run.closed("done") == 10
    assert run.stats["requests.denied"] == requests // 2


@pytest.mark.held
def test_uploads_that_are_denied(sluice, files, folder):
    """What was sent for nothing is given back: no window runs dry."""
    body = os.path.join(folder, "body")
    with open(body, "wb") as file:
        file.write(bytes(100_000))
    run = sluice.run(tool("h2load"), "-c2", "-m10", "-n100", "-d", body,
                     f"http://127.0.0.1:{files.port}/files/public",
                     policy=POLICY % (files.port, FILES), timeout=PATIENCE)
    assert sums(run.out.decode()) == (100, 0, 0, 100)


@pytest.mark.held
def test_http1_and_http2_on_one_port(sluice, folder):
    with Nghttpd(folder) as server:
        server.put_file("public", b"for all\n")
        url = f"http://127.0.0.1:{server.port}/files/public"
        result = sluice.run("sh", "-c", f"curl -s --http2-prior-knowledge {url};"
                            f"curl -s --http1.1 -o /dev/null -w '%{{http_code}}' {url}x/../secret;"
                            f"curl -s --http2-prior-knowledge {url}",
                            policy=POLICY % (server.port, 'http: [{path: "/files/public"}]'))
        assert result.out == b"for all\n403for all\n", result.err


@pytest.mark.held
def test_header_actions(sluice):
    """What a rule changes is what another HPACK decodes, on every request of the connection."""
    rule = ('http: [{path: "/a.*", headerMatches: [{name: X-Who, value: us, mismatch: REPLACE},'
            ' {name: X-No, value: "no", mismatch: DELETE}]}]')
    with EchoH2() as server:
        workload = sluice.workload(POLICY % (server.port, rule))
        client = Http2Client(workload.connect(("127.0.0.1", server.port)))
        for n in range(20):
            fields = [("x-n", str(n)), ("x-who", "them"), ("x-no", "yes"), ("x-last", "z")]
            sent = client.request(f"/a/{n}", fields)
            want = [(name, value) for name, value in sent if name not in (b"x-who", b"x-no")]
            assert client.answers[client.wait(1)[0]] == ("200", digest([*want, (b"x-who", b"us")]))
        client.close()
        workload.finish()
        assert server.errors == []


class Http2Client:
    """On python3-h2, over an End."""

    def __init__(self, end):
        import h2.config
        import h2.connection
        self.end = end
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(
            header_encoding=None))
        self.connection.initiate_connection()
        self.answers, self.sent = {}, {}
        self.flush()

    def flush(self):
        data = self.connection.data_to_send()
        if data:
            self.end.sock.sendall(data)

    def request(self, path, fields, flush=True):
        stream = self.connection.get_next_available_stream_id()
        fields = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "h"),
                  *fields]
        self.connection.send_headers(stream, fields, end_stream=True)
        self.sent[stream] = [(n.encode(), v.encode()) for n, v in fields]
        if flush:
            self.flush()
        return self.sent[stream]

    def wait(self, count):
        """Until COUNT more streams have been answered."""
        import h2.events
        done = []
        while len(done) < count:
            data = self.end.sock.recv(1 << 16)
            assert data, "the connection ended"
            for event in self.connection.receive_data(data):
                assert not isinstance(event, (h2.events.ConnectionTerminated,
                                              h2.events.StreamReset)), event
                if isinstance(event, h2.events.ResponseReceived):
                    fields = dict(event.headers)
                    self.answers[event.stream_id] = (fields[b":status"].decode(),
                                                     fields.get(b"digest", b"").decode())
                    done.append(event.stream_id)
            self.flush()
        return done

    def close(self):
        self.end.close()


@pytest.mark.held
@pytest.mark.parametrize("requests", [500, pytest.param(10000, marks=pytest.mark.long)])
def test_hpack_under_denials(requests, sluice):
    """Both ends decode with python3-hpack. Three of ten requests are denied, tables grow and
    shrink: the server sees what was allowed, and just as it was sent."""
    dice = random.Random(requests)
    allowed = []
    with EchoH2() as server:
        workload = sluice.workload(POLICY % (server.port, 'http: [{path: "/a.*"}]'))
        client = Http2Client(workload.connect(("127.0.0.1", server.port)))
        while len(client.sent) < requests:
            batch = dice.randrange(1, 40)
            for _ in range(batch):
                n = len(client.sent)
                path = f"/{'deny' if dice.random() < 0.3 else 'a'}/{dice.randrange(200)}"
                fields = [(f"x-{dice.randrange(30)}", "v" * dice.randrange(100) + str(n % 13))
                          for _ in range(dice.randrange(6))]
                if dice.random() < 0.1:
                    fields.append(("authorization", f"secret {n}"))
                client.request(path, fields, flush=False)
                if path.startswith("/a"):
                    allowed.append(path)
            if dice.random() < 0.1:
                client.connection.update_settings({1: dice.choice((0, 100, 4096, 65536, 200000))})
            client.flush()
            client.wait(batch)
        for stream, fields in client.sent.items():
            status, told = client.answers[stream]
            denied = dict(fields)[b":path"].startswith(b"/deny")
            assert (status, told) == (("403", "") if denied else ("200", digest(fields)))
        client.close()
        workload.finish()
        assert server.errors == [] and server.paths == allowed


@pytest.mark.held
@pytest.mark.parametrize("name", ["fetch_h2.mjs"])
def test_node(name, sluice, files):
    result = sluice.run(tool("node"), f"{PEERS}/{name}", f"http://127.0.0.1:{files.port}",
                        "/files/public", "/files/secret", "/files/public-large", "/files/public",
                        policy=POLICY % (files.port, FILES))
    assert result.out.split() == [b"200", b"8", b"403", b"0", b"200", b"300000", b"200", b"8"]
    assert result.stats["conn.opened"] == 1


@pytest.mark.held
def test_extended_connect(sluice):
    """A WebSocket over HTTP/2 is judged by its method and its path (RFC 8441)."""
    program = [tool("node"), f"{PEERS}/websocket_h2.mjs"]
    with subprocess.Popen([*program, "serve"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as node:
        port = int(node.stdout.readline())
        result = sluice.run(*program, "call", str(port), "/chat", "/admin", "/chat?room=1", "/get",
                            policy=POLICY % (port, 'http: [{method: CONNECT, path: "/chat.*"},'
                                                   ' {method: GET, path: /get}]'), log=True)
    assert result.out.decode().splitlines() == [
        "/chat 200 hello there", "/admin 403 ", "/chat?room=1 200 hello there", "/get 403 "]
    assert result.stats["conn.opened"] == 1 and result.denied("CONNECT") == 2
    ends = [r["l7"]["url"] for r in result.log if r["l7"]["type"] == "END"]
    assert sorted(ends) == [f"http://127.0.0.1:{port}{path}" for path in ("/chat", "/chat?room=1")]
