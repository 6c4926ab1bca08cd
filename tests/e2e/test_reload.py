# SPDX-License-Identifier: Apache-2.0
"""The policy changes while its connections live: whole or not at all, noticed however it is written,
met by the next request on every connection, and by what is in flight."""
import os
import select
import shutil
import socket
import threading
import time

import pytest

from ends import check_denied
from procfs import PATIENCE, SANITIZED, descriptors, memory, wait_until
from servers import RawServer

pytestmark = pytest.mark.held

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCHING = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
             b"Upgrade: websocket\r\n\r\n")


def policy(*egress, name="case"):
    rules = "\n".join(egress) if egress else "  - toCIDR: []"
    return f"""
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: {name}}}
spec:
  endpointSelector: {{}}
  egress:
{rules}
"""


def port(number, *paths):
    """A rule for one port: with paths, only these may be asked for."""
    text = f"""  - toPorts:
    - ports: [{{port: "{number}", protocol: TCP}}]
"""
    if paths:
        text += "      rules: {http: [" + ", ".join(f"{{path: '{p}'}}" for p in paths) + "]}\n"
    return text


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def replace(path, text):
    write(path + "~new", text)
    os.rename(path + "~new", path)


def get(path=b"/", more=b""):
    return b"GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n" % (path, more)


def websocket(path):
    return get(path, b"Connection: upgrade\r\nUpgrade: websocket\r\n")


class Live:
    """A workload whose policy is in files of the scene's."""

    def __init__(self, sluice, folder, text, options=("--follow",), **how):
        self.path = os.path.join(folder, "live.yaml")
        if text is not None:
            write(self.path, text)
            options = ("-p", self.path, *options)
        self.run = sluice.workload(options=options, **how)
        self.reloads = 0

    def said(self):
        return self.run.read("err").decode(errors="replace")

    def wait_reloaded(self):
        """The next reload is in force. Returns how many connections it ended."""
        self.reloads += 1
        lines = wait_until(lambda: (found := [line for line in self.said().splitlines()
                                              if "policy reloaded" in line])
                           and len(found) >= self.reloads and found, "a reload")
        assert len(lines) == self.reloads, lines
        return int(lines[-1].rsplit(", ", 1)[1].split()[0])

    def change(self, text, how=replace):
        how(self.path, text)
        return self.wait_reloaded()

    def finish(self):
        return self.run.finish()


def ask(client, upstream, path):
    """The status with which a request is answered."""
    client.send(get(path))
    while not client.waiting() and not upstream.waiting():
        assert select.select([client, upstream], [], [], PATIENCE)[0], "no answer"
    if upstream.waiting():
        assert upstream.read_head() == get(path)
        upstream.send(OK)
    response = client.read_response()
    if response.status == 403:
        check_denied(response)
    return response.status


def test_next_request_meets_it(sluice, server, folder):
    """On a connection that is older than the policy; a policy with an error changes nothing."""
    live = Live(sluice, folder, policy(port(server.port, "/a")), log=True)
    with live.run.connect(server.address) as client:
        upstream = server.accept()
        assert [ask(client, upstream, p) for p in (b"/a", b"/b")] == [200, 403]
        assert live.change(policy(port(server.port, "/b"))) == 0
        assert [ask(client, upstream, p) for p in (b"/a", b"/b")] == [403, 200]
        replace(live.path, "nonsense: [")
        wait_until(lambda: "stays in force" in live.said(), "an error")
        assert [ask(client, upstream, p) for p in (b"/a", b"/b")] == [403, 200]
        assert f"{live.path}:2:1: not YAML" in live.said()
        assert live.change(policy(port(server.port, "/a", "/b"))) == 0
        assert [ask(client, upstream, p) for p in (b"/a", b"/b")] == [200, 200]
    result = live.finish()
    changes = [r["policy_change"] for r in result.log if "policy_change" in r]
    assert [c.get("rules") for c in changes] == [1, None, 2]
    assert "live.yaml:2:1: not YAML" in changes[1]["error"]


def in_place(path, text):
    write(path, text)


def in_pieces(path, text):
    """Slowly: the first half would be a policy of its own."""
    with open(path, "w") as file:
        file.write(text[:len(text) // 2])
        file.flush()
        time.sleep(0.1)
        file.write(text[len(text) // 2:])


def as_vim_does(path, text):
    os.rename(path, path + "~")
    write(path, text)
    os.unlink(path + "~")


def removed_and_made(path, text):
    os.unlink(path)
    write(path, text)


def by_hard_link(path, text):
    os.link(path, path + ".other")
    write(path + ".other", text)
    os.unlink(path + ".other")


def test_ways_of_writing(sluice, server, folder):
    live = Live(sluice, folder, policy(port(server.port, "/0")))
    ways = [in_place, replace, in_pieces, as_vim_does, removed_and_made, by_hard_link, in_place]
    with live.run.connect(server.address) as client:
        upstream = server.accept()
        for number, how in enumerate(ways, 1):
            live.change(policy(port(server.port, f"/{number}"), port(1, "/z")), how)
            assert ask(client, upstream, b"/%d" % number) == 200, how
            assert ask(client, upstream, b"/%d" % (number - 1)) == 403, how
    assert "error" not in live.said()
    live.finish()


def test_directory(sluice, server, folder):
    """Files come and go, a burst of them is one change or a few, and what is the same is none."""
    directory = os.path.join(folder, "policies")
    os.mkdir(directory)
    write(os.path.join(directory, "a.yaml"), policy(port(server.port, "/a")))
    live = Live(sluice, folder, None, options=("--follow", "-p", directory))
    with live.run.connect(server.address) as client:
        upstream = server.accept()
        write(os.path.join(directory, "b.yaml"), policy(port(server.port, "/b"), name="b"))
        live.wait_reloaded()
        assert [ask(client, upstream, p) for p in (b"/a", b"/b")] == [200, 200]
        os.unlink(os.path.join(directory, "a.yaml"))
        live.wait_reloaded()
        assert [ask(client, upstream, p) for p in (b"/a", b"/b")] == [403, 200]
        for number in range(50):
            write(os.path.join(directory, f"c{number}.yaml"),
                  policy(port(server.port, f"/c{number}"), name=f"c{number}"))
        wait_until(lambda: "51 HTTP rules" in live.said(), "the last of a burst")
        assert ask(client, upstream, b"/c49") == 200
        reloads = live.said().count("policy reloaded")
        assert reloads < 2 + 20
        os.utime(os.path.join(directory, "b.yaml"))
        write(os.path.join(directory, "notes.txt"), "nobody reads this")
        write(os.path.join(directory, "c1.yaml"),
              policy(port(server.port, "/c1"), name="c1"))
        time.sleep(0.2)
        assert live.said().count("policy reloaded") == reloads
    live.finish()


def test_config_map(sluice, server, folder):
    """As Kubernetes mounts it: the file is a link through ..data, which is replaced by a rename."""
    mount = os.path.join(folder, "mount")

    def publish(version, text):
        directory = os.path.join(mount, f"..{version}")
        os.makedirs(directory)
        write(os.path.join(directory, "policy.yaml"), text)
        os.symlink(f"..{version}", os.path.join(mount, "..data_tmp"))
        os.rename(os.path.join(mount, "..data_tmp"), os.path.join(mount, "..data"))

    publish(1, policy(port(server.port, "/1")))
    os.symlink("..data/policy.yaml", os.path.join(mount, "policy.yaml"))
    for given in (os.path.join(mount, "policy.yaml"), mount):
        live = Live(sluice, folder, None, options=("--follow", "-p", given))
        with live.run.connect(server.address) as client:
            upstream = server.accept()
            for version in range(2, 5):
                publish(version, policy(port(server.port, f"/{version}")))
                shutil.rmtree(os.path.join(mount, f"..{version - 1}"))
                live.wait_reloaded()
                assert ask(client, upstream, b"/%d" % version) == 200
                assert ask(client, upstream, b"/%d" % (version - 1)) == 403
        live.finish()
        shutil.rmtree(os.path.join(mount, "..4"))
        publish(1, policy(port(server.port, "/1")))


def test_secret(sluice, server, folder):
    """A secret is part of the policy."""
    secrets = os.path.join(folder, "secrets")
    os.makedirs(os.path.join(secrets, "team"))
    write(os.path.join(secrets, "team", "token"), "old")
    text = policy(f"""  - toPorts:
    - ports: [{{port: "{server.port}", protocol: TCP}}]
      rules:
        http:
        - headerMatches: [{{name: X, secret: {{name: token, namespace: team}}}}]
""")
    live = Live(sluice, folder, text, options=("--follow", "--secrets", secrets))
    with live.run.connect(server.address) as client:
        upstream = server.accept()
        for value in (b"old", b"new"):
            client.send(get(b"/", b"X: %s\r\n" % value))
            assert upstream.read_head()
            upstream.send(OK)
            assert client.read_response().status == 200
            if value == b"old":
                replace(os.path.join(secrets, "team", "token"), "new\n")
                live.wait_reloaded()
                client.send(get(b"/", b"X: old\r\n"))
                check_denied(client.read_response())
    live.finish()


def test_in_flight(sluice, server, folder):
    """Tunnels and downloads end if their request would be denied now; their neighbours live."""
    live = Live(sluice, folder, policy(port(server.port, "/.*")), log=True)
    ends = {}
    for path in (b"/keep/ws", b"/drop/ws", b"/keep/file", b"/drop/file"):
        client = live.run.connect(server.address)
        upstream = server.accept()
        ends[path] = client, upstream
        if path.endswith(b"ws"):
            client.send(websocket(path))
            upstream.read_head()
            upstream.send(SWITCHING)
            assert client.read(len(SWITCHING)) == SWITCHING
        else:
            client.send(get(path))
            upstream.read_head()
            upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin")
            assert client.read_head() and client.read(5) == b"begin"
    assert live.change(policy(port(server.port, "/keep/.*"))) == 2
    for path in (b"/drop/ws", b"/drop/file"):
        client, upstream = ends[path]
        assert client.read_to_reset() == b""
        assert upstream.read_to_reset() == b""
    for path in (b"/keep/ws", b"/keep/file"):
        client, upstream = ends[path]
        upstream.send(b"more")
        assert client.read(4) == b"more"
    for client, upstream in ends.values():
        client.close()
        upstream.close()
    result = live.finish()
    assert result.closed("revoked") == 2
    assert result.denied("/drop/ws: ended by a new policy: no rule allows it") == 1
    records = [r for r in result.log if r.get("close") == "revoked"]
    assert sorted(r["l7"]["url"] for r in records) == ["http://h/drop/file", "http://h/drop/ws"]
    assert [r["policy_change"]["ended"] for r in result.log if "policy_change" in r] == [2]


def test_connections_of_its_own(sluice, server, folder):
    """What was left alone and would be steered or refused now is ended; and what sluice carries ends
    with its destination's permission."""
    with RawServer() as other, RawServer() as third:
        live = Live(sluice, folder, policy(port(server.port), port(other.port, "/a"),
                                           port(third.port)), log=True)
        alone, stays = live.run.connect(server.address), live.run.connect(third.address)
        carried = live.run.connect(other.address)
        ends = [server.accept(), third.accept(), other.accept()]
        alone.send(b"not HTTP")
        assert ends[0].read(8) == b"not HTTP"
        assert live.change(policy(port(server.port, "/a"), port(third.port))) == 2
        with pytest.raises(ConnectionAbortedError):
            alone.sock.recv(1)
        assert ends[0].read_to_reset() == b""
        assert carried.read_to_reset() == b""
        stays.send(b"not HTTP")
        assert ends[1].read(8) == b"not HTTP"
        with pytest.raises(PermissionError):
            live.run.connect(other.address)
        with live.run.connect(server.address) as client:
            upstream = server.accept()
            assert [ask(client, upstream, p) for p in (b"/a", b"/b")] == [200, 403]
        for end in (alone, stays, carried, *ends):
            end.close()
        result = live.finish()
    assert result.denied("the new policy does not leave it alone") == 1
    assert result.closed("not_allowed") == 1
    swept = [r for r in result.log if r.get("close") == "revoked"]
    assert [r["destination"]["port"] for r in swept] == [server.port]
    assert swept[0]["lane"] == "kernel" and swept[0]["source"]["port"]


def test_enforcement_comes_and_goes(sluice, server, folder):
    """A policy that selects nobody enforces nothing, and the way back ends what it let through."""
    nobody = policy(port(1)).replace("endpointSelector: {}",
                                     "endpointSelector: {matchLabels: {app: other}}")
    live = Live(sluice, folder, policy(port(server.port, "/a")))
    with live.run.connect(server.address) as carried:
        upstream = server.accept()
        assert ask(carried, upstream, b"/b") == 403
        live.change(nobody)
        assert "nothing is enforced" in live.said()
        assert ask(carried, upstream, b"/b") == 200
        alone = live.run.connect(server.address)
        server.accept()
        alone.send(b"anything")
        assert live.change(policy(port(server.port, "/a"))) == 1
        with pytest.raises(ConnectionAbortedError):
            alone.sock.recv(1)
        alone.close()
        assert [ask(carried, upstream, p) for p in (b"/a", b"/b")] == [200, 403]
    live.finish()


def test_policy_from_a_pipe(sluice, server, folder):
    """Nothing to watch, and nothing that could be read twice."""
    pipe = os.path.join(folder, "pipe")
    os.mkfifo(pipe)
    writer = threading.Thread(target=write, args=(pipe, policy(port(server.port, "/a"))))
    writer.start()
    live = Live(sluice, folder, None, options=("-p", pipe))
    writer.join()
    os.utime(pipe)
    with live.run.connect(server.address) as client:
        upstream = server.accept()
        assert [ask(client, upstream, p) for p in (b"/a", b"/b")] == [200, 403]
    live.finish()


def test_the_command_cannot_write_its_own(sluice, server, folder):
    """Unless it is wanted: root could write every policy, others those that are theirs."""
    for options in (("--user", "nobody"), ()):
        live = Live(sluice, folder, policy(port(server.port, "/a")), options=options, log=True)
        with live.run.connect(server.address) as client:
            upstream = server.accept()
            if options:
                live.change(policy(port(server.port, "/a"), port(1)))
                os.chmod(live.path, 0o666)
            in_place(live.path, policy(port(server.port)))
            wait_until(lambda: "could have written it" in live.said(), "a refusal to follow")
            in_place(live.path, policy(port(server.port), port(1)))
            assert [ask(client, upstream, p) for p in (b"/a", b"/b")] == [200, 403]
        live.finish()
        os.chmod(live.path, 0o644)


def test_audit_ends_nothing(sluice, server, folder):
    live = Live(sluice, folder, policy(port(server.port, "/a")), options=("--audit",))
    with live.run.connect(server.address) as client, RawServer() as other:
        upstream = server.accept()
        alone = live.run.connect(other.address)
        other.accept()
        client.send(get(b"/a"))
        upstream.read_head()
        assert live.change(policy(port(1))) == 0
        upstream.send(OK)
        assert client.read_response().status == 200
        alone.send(b"x")
        alone.close()
    live.finish()


def flip_until(live, texts, stopped, pause):
    flips = 0
    while not stopped.is_set():
        flips += 1
        replace(live.path, texts[flips % 2])
        time.sleep(pause)


def check_flips(sluice, server, folder, seconds):
    """/both is always allowed, /none never, whatever is in force when they are asked for."""
    texts = [policy(port(server.port, "/both", one)) for one in ("/one", "/two")]
    live = Live(sluice, folder, texts[0], workers=2)
    stopped, wrong, asked = threading.Event(), [], [0]

    def talk(client, upstream):
        while not stopped.is_set():
            for path, right in ((b"/both", {200}), (b"/none", {403})):
                client.send(get(path))
                select.select([client, upstream], [], [], PATIENCE)
                if upstream.waiting():
                    upstream.read_head()
                    upstream.send(OK)
                status = client.read_response().status
                asked[0] += 1
                if status not in right:
                    wrong.append((path, status))

    threads = [threading.Thread(target=flip_until, args=(live, texts, stopped, 0.05))]
    ends = [(live.run.connect(server.address), server.accept()) for _ in range(4)]
    for pair in ends:
        threads.append(threading.Thread(target=talk, args=pair))
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stopped.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:10]
    assert asked[0] > 100 and live.said().count("policy reloaded") > seconds * 2
    for end in sum(ends, ()):
        end.close()
    live.finish()


def test_flips_under_load(sluice, server, folder):
    check_flips(sluice, server, folder, 1)


@pytest.mark.long
def test_flips_for_long(sluice, server, folder):
    check_flips(sluice, server, folder, 30)


@pytest.mark.long
def test_a_thousand_reloads(sluice, server, folder):
    """Nothing is left of them: descriptors, maps, memory."""
    texts = [policy(port(server.port, "/both", f"/{n}[0-9]+x")) for n in range(2)]
    live = Live(sluice, folder, texts[0])
    with live.run.connect(server.address) as client:
        upstream = server.accept()
        before = None
        for number in range(1, 1001):
            live.change(texts[number % 2])
            if number == 100:
                before = descriptors(live.run.pid), memory(live.run.pid)
        assert ask(client, upstream, b"/both") == 200
        assert descriptors(live.run.pid) == before[0]
        assert SANITIZED or memory(live.run.pid) < before[1] + (2 << 20)
    live.finish()
