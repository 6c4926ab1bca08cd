# SPDX-License-Identifier: Apache-2.0
"""With --audit everything passes as if sluice were not there, and what would have been denied is
recorded."""
import json
import re
import shutil
import socket
import ssl
import threading

import pytest

from doors import Doors, python
from h2_frames import PREFACE, get, settings
from policies import http_policy
from procfs import PATIENCE, alive, wait_until
from servers import RawServer, unused_port
from servers_h2 import Nghttpd
from sluice import cleanup
from talk import (Talk, Whole, answers, asks, client_hears_end, client_shuts, perform,
                  perform_all, server_hears_end, server_shuts)
from test_grpc import say, words
from test_refused import MALFORMED

pytestmark = pytest.mark.held

POLICY = http_policy("api", "- path: /ok.*")

SAID = "sluice: --audit: nothing is refused; what would have been is recorded"
GET = b"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
# Both say more, and end in good order: nobody has lost anything.
TO_THE_END = (asks(b"more"), answers(b"and more"), client_shuts, server_hears_end,
              answers(b"last"), server_shuts, client_hears_end)


def audit(sluice, port, **how):
    return sluice.workload(POLICY.format(port=port), options=("--audit",), **how)


def records(result, verdict="AUDIT"):
    return [record for record in result.log if record["verdict"] == verdict]


def test_denied_request_has_its_answer(sluice, origin):
    urls = [f"http://127.0.0.1:{origin.port}/{path}" for path in ("no", "ok", "no")]
    result = sluice.run("curl", "-sS", *urls, policy=POLICY.format(port=origin.port), log=True,
                        options=("--audit",))
    assert result.code == 0
    assert result.out == b"python GET /no\npython GET /ok\npython GET /no\n"
    assert result.other_lines == [SAID]
    reason = 'no rule allows it; nearest: rules.http[0] of policy "api" differs in path'
    assert result.audits == [f"would have denied 2× GET {urls[0]}: {reason}"]
    request, response = records(result)[:2]
    assert request["l7"]["type"] == "REQUEST" and "code" not in request["l7"]
    assert response["l7"]["type"] == "RESPONSE" and response["l7"]["code"] == 200
    assert request["reason"] == response["reason"] == reason
    assert request["policy"]["rule"] == "egress[0].toPorts[0].rules.http[0]"
    assert len(records(result)) == 4 and len(records(result, "FORWARDED")) == 2


def test_malformed_requests_arrive_byte_for_byte(sluice, server):
    workload = audit(sluice, server.port, log=True)
    for request in MALFORMED.values():
        talk = Talk(asks(request), answers(b"whatever"), *TO_THE_END)
        assert perform(talk, workload, server, [Whole()]) == {b""}
    result = workload.finish()
    assert result.audited(f"127.0.0.1:{server.port}: answered 400") == len(MALFORMED)
    assert len(records(result)) == result.closed("done") == len(MALFORMED)
    assert not result.denials


@pytest.mark.parametrize("reason, talk", [
    ("spoke without being asked", Talk(answers(b"220 mail.example ESMTP\r\n"),
                                       asks(b"EHLO me\r\n"), *TO_THE_END)),
    ("the client broke HTTP/2", Talk(asks(PREFACE + settings()), answers(settings()),
                                     asks(get(2)), *TO_THE_END)),
    ("switched to a protocol", Talk(
        asks(b"GET /ok HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
        answers(b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
        *TO_THE_END)),
])
def test_other_protocols_pass(reason, talk, sluice, server):
    workload = audit(sluice, server.port)
    connections = perform_all(talk, workload, server, stride=7)
    result = workload.finish()
    assert result.audited(reason) == connections and not result.denials


def test_server_that_waits_for_half_a_head(sluice, server):
    """Nobody waits for the rest of it; when it has come it is a request like others."""
    workload = audit(sluice, server.port)
    perform(Talk(*(asks(GET[i:i + 5]) for i in range(0, len(GET), 5)), answers(OK), asks(GET),
                 answers(OK)), workload, server, [Whole()])
    result = workload.finish()
    assert result.err == SAID + "\n"
    assert result.stats["requests.allowed"] == 2


def anonymous_tls(side):
    context = ssl.SSLContext(side)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    return context


def test_tls_passes(sluice, server):
    workload = audit(sluice, server.port)
    with workload.connect(server.address) as client:
        upstream = server.accept()

        def serve():
            context = anonymous_tls(ssl.PROTOCOL_TLS_SERVER)
            with context.wrap_socket(upstream.sock, server_side=True) as tls:
                tls.sendall(tls.recv(100).upper() * 10000)

        thread = threading.Thread(target=serve)
        thread.start()
        with anonymous_tls(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(client.sock) as tls:
            tls.sendall(b"secret")
            heard = b""
            while chunk := tls.recv(1 << 16):
                heard += chunk
        thread.join(PATIENCE)
    assert heard == b"SECRET" * 10000
    assert workload.finish().audited("TLS on a port with HTTP rules") == 1


def test_http2(sluice, folder):
    """Denied requests have their answers, on the connection that they share with others."""
    with Nghttpd(folder) as server:
        for name in "ok", "no":
            server.put_file(name, b"over HTTP/2\n")
        policy = http_policy("api", "- path: /files/ok").format(port=server.port)
        result = sluice.run(shutil.which("nghttp"), "-v", "--no-dep", *(
            f"http://127.0.0.1:{server.port}/files/{name}" for name in ("ok", "no", "none")),
            policy=policy, log=True, options=("--audit",))
    assert sorted(re.findall(rb":status: (\d+)", result.out)) == [b"200", b"200", b"404"]
    assert result.stats["conn.opened"] == 1 and not result.denials
    assert result.audited("/files/no:") == result.audited("/files/none:") == 1
    answers = {r["l7"]["url"].rpartition("/")[2]: r["l7"]["code"] for r in records(result)
               if r["l7"]["type"] == "RESPONSE"}
    assert answers == {"no": 200, "none": 404}
    assert len(records(result)) == 4 and len(records(result, "FORWARDED")) == 2


def test_grpc(sluice):
    """As without sluice, metadata with arbitrary bytes among the rest."""
    asked = {"unary": 0, "watch": 3, "count": 5, "talk": 2, "denied": 0, "fail": 0, "deadline": 100,
             "large": 1 << 20}
    with Doors("python") as server:
        result = sluice.run(*python(), *words(server.port, asked), log=True,
                            policy=http_policy("api", "- path: /doors[.]Manager/Get").format(
                                port=server.port), options=("--audit",))
    assert result.code == 0, result.err
    assert json.loads(result.out) == {**say(asked), "denied": "vault"}
    assert {line.split(": ")[0].rpartition("/")[2] for line in result.audits} == {
        "Open", "Watch", "Count", "Talk", "Left", "Slow", "Fail"}, result.audits
    statuses = [r["l7"].get("grpc_status") for r in records(result) if r["l7"]["type"] == "END"
                and r["l7"]["url"].endswith("/Fail")]
    assert statuses == [5]


def test_denied_connect_and_datagram_pass(sluice, server, udp_server):
    workload = audit(sluice, unused_port(), log=True)
    with workload.connect(server.address) as client:
        upstream = server.accept()
        client.send(b"anything")
        assert upstream.read(8) == b"anything"
    with workload.socket(kind=socket.SOCK_DGRAM) as sock:
        for _ in range(2):
            sock.sendto(b"x", udp_server.address)
            assert udp_server.receive()[0] == b"x"
    result = workload.finish()
    assert result.audited(f"connect to 127.0.0.1:{server.port} (TCP): no rule allows it") == 1
    assert result.audited(f"datagram to 127.0.0.1:{udp_server.port} (UDP)") == 1
    assert {(r["l4"]["protocol"], r["lane"]) for r in records(result)} == {
        ("TCP", "kernel"), ("UDP", "kernel")}


def test_command_keeps_its_powers(sluice):
    """As with --no-confine: what confinement refuses is nothing that audit could let pass."""
    result = sluice.run("sh", "-c", "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status",
                        policy=POLICY.format(port=1), options=("--audit",))
    assert result.out.split() == [b"NoNewPrivs:", b"0", b"Seccomp:", b"0"]
    assert result.err == SAID + "\n"


def test_without_a_policy_nothing_is_new(sluice):
    result = sluice.run("true", options=("--audit",))
    assert result.err == "sluice: no policy was given (-p or --allow): nothing is enforced\n"


def test_killed_sluice_refuses_nothing(sluice, server):
    workload = audit(sluice, server.port)
    child, = open(f"/proc/{workload.pid}/task/{workload.pid}/children").read().split()
    try:
        workload.kill()
        with RawServer() as forbidden:
            for target in (server, forbidden):
                with workload.connect(target.address) as client:
                    client.send(b"x")
                    assert target.accept().read(1) == b"x"
        assert "still live" in cleanup().stderr
    finally:
        workload.control.close()
        wait_until(lambda: not alive(int(child)), "the command ends")
        wait_until(lambda: cleanup().returncode == 0, "everything is removed")
