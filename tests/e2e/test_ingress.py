# SPDX-License-Identifier: Apache-2.0
"""What comes to servers of the workload: read, left alone or refused; and what servers and clients
believe of each other."""
import contextlib
import os
import re
import select
import socket
import subprocess
import time

import pytest

from crowded import Crowded
from netns import NetworkNamespace, Wire
from policies import document, http, ingress, port
from procfs import PATIENCE, wait_until
from servers import listen, unused_port
from sluice import BINARY, cleanup
from web import NginxWho, curl, grpc_status
from workload import Server, deny, dial, exchange, get

pytestmark = pytest.mark.held

BLIND_S = 2.5  # in which it is tried again without a change of the file
LOOPBACKS = {"v4": (socket.AF_INET, "127.0.0.1"), "v6": (socket.AF_INET6, "::1")}


# ---- what is read ----

@pytest.mark.parametrize("at,bound", [
    ("127.8.8.8", "0.0.0.0"), ("::1", "::1"), ("127.0.0.1", "::")])
def test_both_see_each_other(at, bound, sluice):
    number = unused_port()
    workload = sluice.workload(ingress(http(number, "/ok")), log=True, options=("-l", "app=web"))
    with Server(workload, bound, number) as server, dial(at, number) as client:
        end, who = server.accept()
        with end:
            own = client.sock.getsockname()
            mapped = "::ffff:" if bound == "::" and ":" not in at else ""
            assert who[:2] == end.sock.getpeername()[:2] == (mapped + own[0], own[1])
            assert end.sock.getsockname()[:2] == (mapped + at, number)
            assert client.sock.getpeername()[:2] == (at, number)
            exchange(client, end)
            deny(client)
            exchange(client, end)
    result = workload.finish()
    assert result.denied("GET http://h/no") == 1 and result.stats["conn.opened"] == 1
    verdicts = [(r["verdict"], r["direction"], r["source"], r["destination"]) for r in result.log]
    source = {"ip": own[0], "port": own[1]}
    destination = {"ip": at, "port": number, "labels": ["app=web"]}
    assert verdicts == [(v, "ingress", source, destination) for v in
                        ("FORWARDED", "FORWARDED", "DROPPED", "FORWARDED", "FORWARDED")]
    assert result.log[0]["policy"]["rule"] == "ingress[0].toPorts[0].rules.http[0]"


def test_nginx_logs_the_client(sluice, folder):
    """A server with its own processes, on two families and with two protocols."""
    number, two = unused_port(), unused_port()
    nginx = NginxWho(folder, f"127.0.0.1:{number}", f"[::1]:{number}", f"127.0.0.1:{two} http2")
    run = sluice.start(*nginx.command,
                       policy=ingress(http(number, "/ok.*"), http(two, "/ok.*")))
    nginx.wait()
    want = []
    for at, option, protocol, where in (("127.0.0.1", "--http1.1", "HTTP/1.1", number),
                                        ("[::1]", "--http1.1", "HTTP/1.1", number),
                                        ("127.0.0.1", "--http2-prior-knowledge", "HTTP/2.0", two)):
        status, source = curl(option, f"http://{at}:{where}/ok")
        assert status == 200
        want.append(f"{at.strip('[]')} {source} {protocol} /ok 200")
        assert curl(option, f"http://{at}:{where}/no")[0] == 403
    assert grpc_status(f"http://127.0.0.1:{two}/doors.Manager/Open") == 7
    run.signal(15)
    result = run.wait()
    assert nginx.seen() == want
    assert result.denied("/no") == 3 and result.denied("/doors.Manager/Open") == 1


# ---- what is not ----

def test_left_alone_and_refused(sluice):
    """Without rules for requests there is no hop between; what no rule allows is refused."""
    workload = sluice.workload(ingress(port(alone := unused_port())), log=True)
    with Server(workload, "::", alone) as server, Server(workload, "0.0.0.0") as closed:
        for family, address in LOOPBACKS.values():
            with dial(address, alone) as client:
                end, who = server.accept()
                assert who[1] == client.sock.getsockname()[1]
                exchange(client, end, "/anything")
                end.close()
            if family == socket.AF_INET:
                with pytest.raises(ConnectionRefusedError):
                    dial(address, closed.port)
        assert closed.nobody_came()
    result = workload.finish()
    assert result.stats["conn.opened"] == 0
    assert result.denied(f"connection from 127.0.0.1 to 127.0.0.1:{closed.port} (TCP)") == 1
    record, = result.log
    assert record["direction"] == "ingress" and record["lane"] == "kernel"
    assert record["source"]["ip"] == "127.0.0.1"


def test_servers_of_others_are_not_touched(sluice):
    """Nor is a port of the workload's once it has stopped to listen there."""
    workload = sluice.workload(ingress())
    with listen() as other:
        dial("127.0.0.1", other.getsockname()[1]).close()
    with Server(workload) as server:
        with pytest.raises(ConnectionRefusedError):
            dial("127.0.0.1", server.port)
    with listen(port=server.port) as other:
        with dial("127.0.0.1", server.port):
            other.accept()[0].close()
    assert workload.finish().denied("connection from") == 1


def test_listeners_come_and_go(sluice):
    """Several sockets on one port, and a port that is taken again."""
    number = unused_port()
    workload = sluice.workload(ingress(http(number, "/ok")))
    for _ in range(2):
        with Server(workload, number=number, reuse=True) as one:
            with Server(workload, number=number, reuse=True) as two, contextlib.ExitStack() as all_:
                clients = [all_.enter_context(dial("127.0.0.1", number)) for _ in range(20)]
                ready, _, _ = select.select([one.sock, two.sock], [], [], PATIENCE)
                assert ready and len(clients) == 20
            with dial("127.0.0.1", number) as client:
                while True:  # behind those that nobody has accepted
                    end, who = one.accept()
                    if who[1] == client.sock.getsockname()[1]:
                        break
                    end.close()
                exchange(client, end)
                deny(client)
                end.close()
        with pytest.raises(ConnectionRefusedError):
            dial("127.0.0.1", number)
    workload.finish()


def test_datagrams(sluice, udp_server):
    """They are held to addresses and ports; who was written to may answer."""
    workload = sluice.workload(ingress(port(allowed := unused_port(), protocol="UDP")))
    with workload.socket(kind=socket.SOCK_DGRAM) as open_, \
            workload.socket(kind=socket.SOCK_DGRAM) as closed:
        open_.bind(("127.0.0.1", allowed))
        closed.bind(("127.0.0.1", 0))
        for sock in open_, closed:
            sock.settimeout(PATIENCE)
            udp_server.sock.sendto(b"hello", sock.getsockname())
        assert open_.recv(9) == b"hello"
        closed.sendto(b"question", udp_server.address)
        _, who = udp_server.receive()
        udp_server.sock.sendto(b"answer", who)
        assert closed.recv(9) == b"answer"
        closed.connect(udp_server.address)
        udp_server.sock.sendto(b"more", who)
        assert closed.recv(9) == b"more"
    assert workload.finish().denied(f"datagram from 127.0.0.1 to 127.0.0.1:{who[1]} (UDP)") == 1


def test_both_directions_at_once(sluice):
    """A workload that talks to itself is held twice, and its server sees whom the client is."""
    number = unused_port()
    text = ingress(http(number, "/ok", "/out")) + "  egress:\n  " + http(number, "/ok", "/in") + "\n"
    workload = sluice.workload(text, log=True)
    with Server(workload, number=number) as server, \
            workload.connect(("127.0.0.1", number)) as client:
        end, who = server.accept()
        assert who[0] == "127.0.0.1"
        exchange(client, end)
        deny(client, "/out")  # on the way out
        deny(client, "/in")  # on the way in
        end.close()
    result = workload.finish()
    assert [r["direction"] for r in result.log if r["verdict"] == "DROPPED"] == ["egress", "ingress"]


# ---- from elsewhere ----

@pytest.fixture(scope="module")
def wire():
    """Two namespaces: a server's with 10.99.0.1 and fd99::1, a clients' with .2 and .3 each."""
    with Wire() as wire_:
        yield wire_.join("in0", 1), wire_.join("out0", 2, 3)


@pytest.mark.parametrize("net,address", [("10.99.0", "10.99.0.1"), ("fd99:", "fd99::1")],
                         ids=["v4", "v6"])
def test_clients_on_the_wire(net, address, wire, sluice):
    """One may ask for some paths, another may do what it likes, a third may not come at all; and
    this host is none of them."""
    here, there = wire
    ends = [f"{net}{':' if ':' in net else '.'}{n}" for n in (2, 3)]
    text = ingress(http(8080, "/ok", peer=f"fromCIDR: ['{ends[0]}'], "),
                   port(8081, peer="fromEntities: [world], "),
                   port(8082, peer="fromEntities: [host], "))
    workload = sluice.workload(text, prefix=here.prefix)
    with contextlib.ExitStack() as all_:
        read, alone, host = (all_.enter_context(Server(workload, "::", n))
                             for n in (8080, 8081, 8082))
        with dial(address, 8080, there, ends[0]) as client:
            end, who = read.accept()
            own = client.sock.getsockname()
            assert (who[0].removeprefix("::ffff:"), who[1]) == own[:2]
            exchange(client, end)
            deny(client)
            end.close()
        with dial(address, 8081, there, ends[1]) as client:
            end, _ = alone.accept()
            exchange(client, end, "/no")
            end.close()
        for source, number in ((ends[1], 8080), (ends[0], 8082)):
            with pytest.raises(ConnectionRefusedError):
                dial(address, number, there, source)
        dial(address, 8082, here, address).close()
        for number in 8080, 8081:
            with pytest.raises(ConnectionRefusedError):
                dial(address, number, here, address)
    result = workload.finish()
    assert result.denied("connection from") == 4 and result.stats["conn.opened"] == 1


# ---- changes, and the end ----

def replace(path, text):
    with open(path + "~", "w") as file:
        file.write(text)
    os.rename(path + "~", path)


def change(run, path, text):
    before = run.read("err").count(b"policy reloaded")
    replace(path, text)
    wait_until(lambda: run.read("err").count(b"policy reloaded") > before, "a reload")
    return int(re.findall(rb", (\d+) connections? ended", run.read("err"))[-1])


def test_policy_changes(sluice, folder):
    """Also from none for ingress at all; connections that are older are held to it."""
    path = os.path.join(folder, "live.yaml")
    number = unused_port()
    with open(path, "w") as file:
        file.write(ingress("- {toEntities: [all]}").replace("ingress:", "egress:"))
    workload = sluice.workload(options=("-p", path, "--follow"))
    with Server(workload, number=number) as server, contextlib.ExitStack() as all_:
        old = all_.enter_context(dial("127.0.0.1", number))
        old_end = all_.enter_context(server.accept()[0])
        exchange(old, old_end, "/not/read")
        assert change(workload, path, ingress(http(number, "/a"))) == 1
        old.read_to_reset()
        client = all_.enter_context(dial("127.0.0.1", number))
        end = all_.enter_context(server.accept()[0])
        exchange(client, end, "/a")
        deny(client, "/b")
        assert change(workload, path, ingress(http(number, "/b"))) == 0
        exchange(client, end, "/b")
        deny(client, "/a")
        client.send(get("/b"))
        end.read_head()
        assert change(workload, path, ingress(http(number, "/c"))) == 1  # what is in flight
        client.read_to_reset()
        assert change(workload, path, ingress(port(number))) == 0
        alone = all_.enter_context(dial("127.0.0.1", number))
        alone_end = all_.enter_context(server.accept()[0])
        exchange(alone, alone_end, "/c")
        assert change(workload, path, ingress()) == 1
        alone.read_to_reset()
        with pytest.raises(ConnectionRefusedError):
            dial("127.0.0.1", number)
    workload.finish()


def test_no_room_for_the_program(sluice, folder):
    """Others have as many programs in the namespace as there can be: nothing is started with a policy
    for ingress; where another one is in force it stays so, the next one is taken, and when there is
    room that with ingress."""
    path = os.path.join(folder, "live.yaml")
    words = b"others have all 64 places for sk_lookup programs"
    kept = words + b"; the policy before stays in force"
    reads = ingress(http(8080, "/a"))

    def wait_said(what, times):
        wait_until(lambda: workload.read("err").count(what) >= times, what)

    replace(path, document("out", egress=[port(1)]))
    with NetworkNamespace() as net:
        workload = sluice.workload(options=("-p", path, "--follow"), prefix=net.prefix)
        with Server(workload, number=8080) as server:
            with Crowded(net.path):
                replace(path, reads)
                wait_said(kept, 1)
                started = subprocess.run([*net.prefix, BINARY, "run", "-p", path, "--", "true"],
                                         capture_output=True)
                assert started.returncode == 125 and words in started.stderr
                dial("127.0.0.1", 8080, net).close()
                server.accept()[0].close()
                time.sleep(BLIND_S)
                assert workload.read("err").count(kept) == 1
                replace(path, document("out", egress=[port(2)]))
                wait_said(b"policy reloaded", 1)
                replace(path, reads)
                wait_said(kept, 2)
            wait_said(b"policy reloaded", 2)
            with dial("127.0.0.1", 8080, net) as client:
                end, _ = server.accept()
                exchange(client, end, "/a")
                deny(client, "/b")
                end.close()
        workload.finish()


@pytest.mark.alone
def test_killed(sluice):
    """What would be read is refused, all else flows; afterwards nothing is left."""
    number, alone = unused_port(), unused_port()
    workload = sluice.workload(ingress(http(number, "/ok"), port(alone)))
    with Server(workload, number=number) as server, Server(workload, number=alone) as open_:
        with dial("127.0.0.1", number) as client:
            end, _ = server.accept()
            exchange(client, end)
            workload.kill()
            client.read_rest()
            end.close()
        with pytest.raises(ConnectionRefusedError):
            dial("127.0.0.1", number)
        assert server.nobody_came()
        with dial("127.0.0.1", alone) as client:
            open_.accept()[0].close()
        with pytest.raises(ConnectionRefusedError), Server(workload) as late:
            dial("127.0.0.1", late.port)
        with listen() as other:
            dial("127.0.0.1", other.getsockname()[1]).close()
    workload.control.close()
    wait_until(lambda: cleanup().returncode == 0, "everything is removed")
    with listen(port=number) as other:
        dial("127.0.0.1", number).close()


def test_audit(sluice):
    """Everything passes, and is recorded."""
    number, other = unused_port(), unused_port()
    workload = sluice.workload(ingress(http(number, "/ok")), options=("--audit",), log=True)
    with Server(workload, number=number) as server, Server(workload, number=other) as refused:
        for listener, path in (server, "/no"), (refused, "/x"):
            with dial("127.0.0.1", listener.port) as client:
                end, who = listener.accept()
                assert who == client.sock.getsockname()
                exchange(client, end, path)
                end.close()
    result = workload.finish()
    assert result.audited("GET http://h/no") == 1
    assert result.audited(f"connection from 127.0.0.1 to 127.0.0.1:{other} (TCP)") == 1
    assert not result.denials
