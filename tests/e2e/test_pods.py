# SPDX-License-Identifier: Apache-2.0
"""Real pods of a container runtime, selected by their labels."""
import socket
from socket import AF_INET, AF_INET6

import pytest

from ends import End
from pod_scenes import come, held, to
from policies import app, document, http, port
from web import NginxWho, curl, grpc_status
from workload import Server, deny, exchange

pytestmark = pytest.mark.held
FAMILIES = AF_INET, AF_INET6
SERVE = """
import concurrent.futures, grpc
class Any(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda message, context: message)
server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), handlers=[Any()])
server.add_insecure_port("[::]:8082")
server.start()
server.wait_for_termination()
"""
CONNECT = """
import errno, socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
    print("connected")
except OSError as error:
    print(errno.errorcode.get(error.errno, error))
"""
CALL = """
import sys, grpc
for target in sys.argv[1:]:
    with grpc.insecure_channel(target) as channel:
        for method in "Ok", "No":
            try:
                channel.unary_unary("/doors.Manager/" + method)(b"", timeout=10, wait_for_ready=True)
                print("OK")
            except grpc.RpcError as error:
                print(error.code().name)
"""


def test_pods_in_both_directions(begin_pods, pods, run_pod):
    """A client whose labels an egress policy selects, a server with an ingress policy, and a third
    one: nginx, curl and gRPC in real containers, by both families. Two of the ports are named."""
    rules = [("web", "/ok.*"), (8081, "/ok.*"), ("grpc", "/doors.Manager/Ok")]
    text = document("out", app("client"), egress=[
        *(http(n, p, "/out", peer=to("server")) for n, p in rules)])
    text += document("in", app("server"), ingress=[
        *(http(n, p, "/in", peer=come("client")) for n, p in rules)])
    agent = begin_pods(text, log=True)
    client, server, third = (run_pod(name, labels={"app": name}) for name in
                             ("client", "server", "third"))
    nginx = NginxWho(pods.dir, "[::]:8080 ipv6only=off", "[::]:8081 ipv6only=off http2")
    server.start("web", *nginx.command, mounts=pods.shared(), ports={"web": 8080, "h2": 8081})
    server.start("grpc", "python3", "-c", SERVE, mounts=pods.shared(), ports={"grpc": 8082})
    main, other = (pod.start("main", "sleep", "1000", mounts=pods.shared())
                   for pod in (client, third))
    nginx.wait()
    states = held(agent, client, server, third)
    agent.wait_until(lambda status: status["revision"]["settled"], "the ports are known")
    assert [(s["egress"], s["ingress"]) for s in states] == [(1, 0), (0, 1), (0, 0)]
    want = []
    for family in FAMILIES:
        mine = ("::ffff:" if family == AF_INET else "") + client.addresses()[family == AF_INET6]
        for at, option, protocol in ((8080, "--http1.1", "HTTP/1.1"),
                                     (8081, "--http2-prior-knowledge", "HTTP/2.0")):
            statuses = [curl(option, server.at(at, family, path), run=main.exec)[0]
                        for path in ("/ok", "/out", "/in", "/no")]
            assert statuses == [200, 403, 403, 403]
            want.append(f"{mine} {protocol} /ok 200")
            assert other.exec("python3", "-c", CONNECT, server.addresses()[family == AF_INET6],
                              str(at)) == "ECONNREFUSED\n"
        assert grpc_status(server.at(8081, family, "/doors.Manager/Open"), main.exec) == 7
    assert main.exec("python3", "-c", CALL, *(
        server.at(8082, family).removeprefix("http://") for family in FAMILIES
    )).split() == ["OK", "PERMISSION_DENIED"] * 2
    seen = [line.split(" ") for line in nginx.seen()]
    assert [" ".join(s[:1] + s[2:]) for s in seen] == want
    result = agent.finish()
    assert result.denied("/in") == result.denied("/out") == 4, result.denials
    assert result.denied("connection from") == 4, result.denials
    for record in result.log:
        both = record["source"], record["destination"]
        if "l7" not in record:
            continue
        assert [end["workload"] for end in both] == ["client", "server"], record
        assert [end["namespace"] for end in both] == ["default"] * 2
        assert ["k8s:app=" + end["workload"] in end["labels"] for end in both] == [True] * 2


def test_pod_on_the_host_network(begin_pods, run_pod):
    """It is held, and the host's own traffic is not touched."""
    agent = begin_pods(document("p", app("web"), egress=[http(8080, "/ok")],
                           ingress=[port(8081, peer="fromCIDR: [127.0.0.2/32], ")]))
    pod = run_pod("host", labels={"app": "web"}, host_network=True)
    status, = held(agent, pod)
    assert status["pod"]["host_network"] and not status["pod"]["addresses"]
    resident = pod.resident()
    with socket.create_server(("127.0.0.1", 8080)) as listener, Server(resident, number=8081):
        with resident.connect(("127.0.0.1", 8080)) as here, \
                End(listener.accept()[0], "server") as end:
            exchange(here, end)
            deny(here)
        with pytest.raises(PermissionError):
            resident.connect(("127.0.0.1", 8079))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 8081))
        socket.create_connection(("127.0.0.1", 8080)).close()
        listener.accept()[0].close()
    result = agent.finish()
    assert result.denied("default/host: GET") == 1, result.denials
    resident.end()


def test_pod_with_all_its_containers(begin_pods, pods, run_pod):
    """`exec`, a second container, a restarted one, a process that is moved in: all are held. Over
    loopback they talk undisturbed."""
    agent = begin_pods(document("p", app("many"), egress=[http(8080, "/ok", peer=to("server"))]))
    pod, server = run_pod("many", labels={"app": "many"}), run_pod("server", labels={"app": "server"})
    there = server.resident()
    first, second = pod.resident("first"), pod.resident("second")
    held(agent, pod, server)
    where = server.addresses()[0], 8080

    def check(client):
        with client.connect(where) as here, listener.accept()[0] as end:
            exchange(here, end)
            deny(here)
        with pytest.raises(PermissionError):
            client.connect((where[0], 8081))

    with Server(there, *where) as listener:
        check(first)
        check(second)
        second.end()
        check(second.start())
        outsider = pods.move_in(pod)
        check(outsider)
        outsider.end()
        # By the pod's own programs, not by a socket of the scene's.
        assert first.container.exec("python3", "-c", CONNECT, where[0], "8081") == "EPERM\n"
    with Server(second, "127.0.0.1", 9000) as listener, \
            first.connect(("127.0.0.1", 9000)) as here, listener.accept()[0] as end:
        exchange(here, end, "/anything")
    agent.finish()
    for resident in first, second, there:
        resident.end()


def test_pod_that_is_not_known_yet(begin_pods, pods):
    """What has a pod's cgroup is refused everything until the runtime tells whose it is; unless
    that is not wanted."""
    uid = "9b1c2d3e-0000-4000-8000-00000000000%d"
    for number, hold in enumerate((True, False)):
        agent = begin_pods(document("p", app("x"), egress=[]), {"hold": hold})
        stranger = pods.stranger(uid % number)
        status = agent.wait_until(lambda status: [
            w for w in status["workloads"] if w["enforced"] and w["populated"]], "it is held")
        assert [(w["name"], w["egress"]) for w in status] == [("unknown-pod", hold)]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            if hold:
                with pytest.raises(PermissionError):
                    stranger.connect(listener.getsockname())
            else:
                stranger.connect(listener.getsockname()).close()
        status = agent.status()["pods"]
        assert (status["unknown"], status["unknown_held"]) == (1, hold)
        agent.finish()
        stranger.end()
        pods.remove_cgroup(stranger.cgroup)


def test_pod_is_held_before_its_first_process(begin_pods, run_pod):
    """A kubelet makes its cgroup first."""
    agent = begin_pods(document("p", app("web"), egress=[]))
    pod = run_pod("early", labels={"app": "web"})
    held(agent, pod)
    found = agent.status()["pods"]
    assert found["held"]["pods"] == found["by_own_policy"]["pods"] == 1, found
    assert found["held"]["before_first_process"] == found["before_containers"] == 1, found
    print(f"held by its own policy {found['by_own_policy']['max_ms']} ms after its first process")
    agent.finish()
