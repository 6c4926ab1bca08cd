# SPDX-License-Identifier: Apache-2.0
"""What a policy says is what happens: addresses, ports, entities, and the fields of a request."""
import json
import os
import re
import select
import socket

import pytest

from ends import check_denied
from procfs import PATIENCE
from servers import RawServer, UdpServer

pytestmark = pytest.mark.held

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def rule(text, name="case"):
    """A policy with these egress rules."""
    return """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: %s
spec:
  endpointSelector: {}
  egress:
%s
""" % (name, text)


def is_refused(workload, address, family=socket.AF_INET):
    try:
        workload.connect(address, family).close()
    except PermissionError:
        return True
    return False


def ask(client, upstream, request):
    """The status with which REQUEST is answered; what arrives at the server is what was sent."""
    client.send(request)
    assert select.select([client, upstream], [], [], PATIENCE)[0], "no answer"
    if not client.waiting():
        assert upstream.read(len(request)) == request
        upstream.send(OK)
    response = client.read_response()
    if response.status == 403:
        check_denied(response)
    return response.status


def request(path=b"/", method=b"GET", host=b"h", more=b""):
    return b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, path, host, more)


def statuses(sluice, server, http, requests):
    """How each of REQUESTS is answered under the rules HTTP, all on one connection."""
    workload = sluice.workload(rule(f"""
  - toPorts:
    - ports:
      - port: "{server.port}"
        protocol: TCP
      rules:
        http:
{http}"""))
    with workload.connect(server.address) as client:
        upstream = server.accept()
        answers = [ask(client, upstream, each) for each in requests]
    workload.finish()
    return answers


def test_path_is_matched_as_a_whole(sluice, server):
    http = """
        - path: /exact
        - path: /prefix/.*
        - path: /id/[0-9]+
        - path: /a|/b
"""
    allowed = [b"/exact", b"/prefix/", b"/prefix/x?y", b"/id/7", b"/a", b"/b"]
    denied = [b"/", b"/exact/", b"/exact?q", b"/exac", b"/Exact", b"/prefix", b"/id/", b"/id/7a",
              b"/ab", b"/x/exact", b"/b/"]
    assert statuses(sluice, server, http, map(request, allowed)) == [200] * len(allowed)
    assert statuses(sluice, server, http, map(request, denied)) == [403] * len(denied)


def test_method_and_host_and_headers(sluice, server):
    http = """
        - method: GET|HEAD
          path: /m
        - path: /h
          host: shop\\.example:8080
        - path: /x
          headers:
          - X-Present
          - "X-Team: red"
"""
    cases = [
        (request(b"/m"), 200), (request(b"/m", b"POST"), 403),
        (request(b"/h", host=b"shop.example:8080"), 200),
        (request(b"/h", host=b"shop.example"), 403),
        (request(b"/h", host=b"shopXexample:8080"), 403),
        (request(b"/x", more=b"x-present: \r\nx-team: red\r\n"), 200),
        (request(b"/x", more=b"X-Present: 1\r\nX-Team: Red\r\n"), 403),
        (request(b"/x", more=b"X-Team: red\r\n"), 403),
    ]
    answers = statuses(sluice, server, http, [case[0] for case in cases])
    assert answers == [case[1] for case in cases]


def test_every_reading_of_a_path_must_be_allowed(sluice, server):
    http = """
        - path: /static/.*
"""
    denied = [b"/static/../admin", b"/static/..%2fadmin", b"/static/%2e%2e/admin",
              b"/static/..%5cadmin", b"/static/..;/admin", b"/static/%252e%252e/admin",
              b"/static/..%252fadmin", b"//static/../../admin"]
    allowed = [b"/static/a", b"/static/a%20b", b"/static/%C3%A4?x=../y", b"/static/./a",
               b"/static/a/../b", b"/static/a;v=1", b"/static/a%2Fb", b"/static/~x"]
    assert statuses(sluice, server, http, map(request, denied)) == [403] * len(denied)
    assert statuses(sluice, server, http, map(request, allowed)) == [200] * len(allowed)


def test_empty_rule_allows_every_request(sluice, server):
    answers = statuses(sluice, server, "        - {}\n",
                       [request(b"/"), request(b"/a", b"DELETE"), request(b"/..%2f..")])
    assert answers == [200] * 3


@pytest.mark.parametrize("peers, allowed", [
    ("toCIDR: [127.0.0.0/8]", True),
    ("toCIDR: [127.0.0.1/32]", True),
    ("toCIDR: [127.0.0.2/31]", False),
    ("toCIDR: [10.0.0.0/8, 127.0.0.1/32]", True),
    ("toCIDR: []", False),
    ("toCIDRSet: [{cidr: 127.0.0.0/8, except: [127.0.0.0/24]}]", False),
    ("toCIDRSet: [{cidr: 127.0.0.0/8, except: [127.0.1.0/24]}]", True),
    ("toEntities: [all]", True),
    ("toEntities: [host]", True),
    ("toEntities: [world]", False),
    ("toEntities: []", False),
])
def test_peers(peers, allowed, sluice, server):
    workload = sluice.workload(rule(f"  - {peers}\n"))
    assert is_refused(workload, server.address) != allowed
    # An IPv4 rule means the mapped address, too, since it is IPv4 on the wire.
    mapped = "::ffff:127.0.0.1", server.port
    assert is_refused(workload, mapped, socket.AF_INET6) != allowed
    workload.finish()


def test_addresses_of_the_other_family_stay_closed(sluice, server):
    with RawServer("::1") as six:
        workload = sluice.workload(rule("  - toCIDR: [127.0.0.1/32]\n"))
        assert not is_refused(workload, server.address)
        assert is_refused(workload, six.address, socket.AF_INET6)
        workload.finish()
        workload = sluice.workload(rule("  - toCIDR: [::1/128]\n"))
        assert is_refused(workload, server.address)
        assert not is_refused(workload, six.address, socket.AF_INET6)
        workload.finish()


def test_ports_and_ranges(sluice):
    with RawServer() as inside, RawServer() as outside, UdpServer() as udp:
        low = min(inside.port, outside.port - 1) if inside.port < outside.port else inside.port
        high = outside.port - 1 if inside.port < outside.port else 65535
        workload = sluice.workload(rule(f"""
  - toPorts:
    - ports:
      - port: "{low}"
        endPort: {high}
        protocol: TCP
"""))
        assert not is_refused(workload, inside.address)
        assert is_refused(workload, outside.address)
        with workload.socket(kind=socket.SOCK_DGRAM) as sock, pytest.raises(PermissionError):
            sock.sendto(b"x", udp.address)
        workload.finish()


def test_endpoints_of_the_configuration(sluice, folder):
    """Whom toEndpoints means is what --config says, to run and to check."""
    config, policy = (os.path.join(folder, name) for name in ("config.json", "policy.yaml"))
    text = rule("""
  - toEndpoints: [{matchLabels: {app: db}}]
    toPorts: [{ports: [{port: "%d", protocol: TCP}]}]
""")
    with RawServer("127.0.0.2") as db, RawServer("127.0.0.3", db.port) as other:
        text = text % db.port
        with open(config, "w") as file:
            json.dump({"peers": [{"labels": {"app": "db"}, "addresses": [db.address[0]]},
                                 {"labels": {"app": "x"}, "addresses": [other.address[0]]}]}, file)
        workload = sluice.workload(text, options=["--config", config])
        assert not is_refused(workload, db.address)
        assert is_refused(workload, other.address)
        workload.finish()
    with open(policy, "w") as file:
        file.write(text)
    assert sluice.command("check", "--config", config, policy).returncode == 0
    unknown = sluice.command("check", policy)
    assert unknown.returncode == 1 and "does not know which addresses" in unknown.stderr


@pytest.mark.parametrize("egress", ["  []\n", "  - toCIDR: []\n"])
def test_empty_list_allows_nobody(egress, sluice, server):
    workload = sluice.workload(rule(egress))
    assert is_refused(workload, server.address)
    assert workload.finish().denied(f"connect to 127.0.0.1:{server.port} (TCP)") == 1


def test_rule_without_http_opens_the_port_wholly(sluice, server):
    """United with one that has HTTP rules, in either order."""
    with_http = f"""
  - toPorts:
    - ports: [{{port: "{server.port}", protocol: TCP}}]
      rules:
        http: [{{path: /ok}}]
"""
    without = f"""
  - toPorts:
    - ports: [{{port: "{server.port}", protocol: TCP}}]
"""
    for texts in ([rule(with_http + without)], [rule(without + with_http)],
                  [rule(with_http, "one"), rule(without, "two")]):
        workload = sluice.workload(texts)
        with workload.connect(server.address) as client:
            upstream = server.accept()
            assert ask(client, upstream, request(b"/anything", b"DELETE")) == 200
        workload.finish()


def test_rules_of_several_policies_are_united(sluice, server):
    ports = f"""
  - toPorts:
    - ports: [{{port: "{server.port}", protocol: TCP}}]
      rules:
        http:
"""
    workload = sluice.workload([rule(ports + "        - path: /one\n", "first"),
                                rule(ports + "        - path: /two\n", "second")], log=True)
    with workload.connect(server.address) as client:
        upstream = server.accept()
        answers = [ask(client, upstream, request(path)) for path in (b"/one", b"/two", b"/three")]
    assert answers == [200, 200, 403]
    log = workload.finish().log
    names = [record["policy"]["name"] for record in log if record["l7"]["type"] == "REQUEST"]
    assert names[:2] == ["first", "second"]


def test_disjoint_peers_keep_their_own_rules(sluice):
    """One port number at two addresses, each with requests of its own."""
    with RawServer("127.0.0.1") as first, RawServer("127.0.0.2", first.port) as second:
        workload = sluice.workload(rule(f"""
  - toCIDR: [127.0.0.1/32]
    toPorts:
    - ports: [{{port: "{first.port}", protocol: TCP}}]
      rules:
        http: [{{path: /first}}]
  - toCIDR: [127.0.0.2/32]
    toPorts:
    - ports: [{{port: "{first.port}", protocol: TCP}}]
      rules:
        http: [{{path: /second}}]
"""))
        for server, mine, other in ((first, b"/first", b"/second"),
                                    (second, b"/second", b"/first")):
            with workload.connect(server.address) as client:
                upstream = server.accept()
                assert ask(client, upstream, request(mine)) == 200
                assert ask(client, upstream, request(other)) == 403
        workload.finish()


def test_clusterwide_policy_and_json(sluice, server):
    document = {
        "apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": "wide"},
        "spec": {"endpointSelector": {}, "egress": [{"toPorts": [{
            "ports": [{"port": str(server.port), "protocol": "TCP"}],
            "rules": {"http": [{"path": "/json"}]}}]}]}}
    workload = sluice.workload(json.dumps(document))
    with workload.connect(server.address) as client:
        upstream = server.accept()
        assert ask(client, upstream, request(b"/json")) == 200
        assert ask(client, upstream, request(b"/yaml")) == 403
    assert 'policy "wide"' in workload.finish().err


# What is said of denials

def test_summary_has_a_line_for_each_denial(sluice, server):
    workload = sluice.workload(rule(f"""
  - toPorts:
    - ports: [{{port: "{server.port}", protocol: TCP}}]
      rules:
        http:
        - {{method: GET, path: /read}}
        - {{method: POST, path: /write, host: "h"}}
""", "api"))
    with workload.connect(server.address) as client, RawServer() as forbidden:
        upstream = server.accept()
        for _ in range(3):
            assert ask(client, upstream, request(b"/read", b"DELETE")) == 403
        assert ask(client, upstream, request(b"/write", b"POST", b"evil")) == 403
        assert ask(client, upstream, request(b"/read")) == 200
        assert is_refused(workload, forbidden.address)
        gone = forbidden.port
    result = workload.finish()
    assert sorted(result.denials) == sorted([
        'denied 3× DELETE http://h/read: no rule allows it; nearest: rules.http[0] of policy '
        '"api" differs in method',
        'denied 1× POST http://evil/write: no rule allows it; nearest: rules.http[1] of policy '
        '"api" differs in host',
        f'denied 1× connect to 127.0.0.1:{gone} (TCP): no rule allows it'])
    assert result.other_lines == []


def test_bytes_of_others_are_escaped(sluice, server):
    """A terminal or a log reader must not be at the mercy of what a workload sends."""
    workload = sluice.workload(rule(f"""
  - toPorts:
    - ports: [{{port: "{server.port}", protocol: TCP}}]
      rules:
        http: [{{path: /ok.*}}]
"""), log=True)
    path = b'/no"\xc2\x9b31m\xff%1b[31m'
    with workload.connect(server.address) as client:
        upstream = server.accept()
        client.send(request(path))
        refusal = client.read_response().status
        assert refusal in (400, 403)
        assert upstream.waiting() == b""
    result = workload.finish()
    assert len(result.denials) == 1 and re.fullmatch(r"[ -~×]+", result.denials[0])
    raw = open(f"{workload.folder}/log", "rb").read()
    assert re.fullmatch(rb"[ -~]+\n", raw), raw
    assert result.log[0]["verdict"] == "DROPPED"


def test_log_has_the_documented_fields(sluice, server):
    workload = sluice.workload(rule(f"""
  - toPorts:
    - ports: [{{port: "{server.port}", protocol: TCP}}]
      rules:
        http:
        - {{method: GET, path: /ok}}
""", "logged").replace("name: logged", "name: logged\n  namespace: shop"), log=True)
    with workload.connect(server.address) as client:
        upstream = server.accept()
        assert ask(client, upstream, request(b"/ok", host=b"a.example")) == 200
        assert ask(client, upstream, request(b"/no", b"PUT")) == 403
        mine = client.sock.getsockname()
    log = workload.finish().log
    assert [record["verdict"] for record in log] == ["FORWARDED", "FORWARDED", "DROPPED"]
    for record in log:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", record["time"])
        assert record["direction"] == "egress"
        assert record["source"]["ip"] == mine[0] and record["source"]["port"] > 0
        assert record["destination"] == {"ip": "127.0.0.1", "port": server.port}
        assert record["l7"]["protocol"] == "HTTP/1.1"
        assert record["policy"]["name"] == "logged" and record["policy"]["namespace"] == "shop"
        assert "http[0]" in record["policy"]["rule"]
    asked, answered, dropped = (record["l7"] for record in log)
    assert (asked["type"], asked["method"], asked["url"]) == (
        "REQUEST", "GET", "http://a.example/ok")
    assert (answered["type"], answered["code"]) == ("RESPONSE", 200)
    assert answered["latency_ns"] > 0 and answered["url"] == asked["url"]
    assert (dropped["method"], dropped["url"]) == ("PUT", "http://h/no")
    assert "method" in log[2]["reason"] and "reason" not in log[0]


def test_log_to_standard_output(sluice, origin):
    result = sluice.run(
        "curl", "-s", "-o", "/dev/null", "--noproxy", "*", f"http://127.0.0.1:{origin.port}/ok",
        policy=rule(f"""
  - toPorts:
    - ports: [{{port: "{origin.port}", protocol: TCP}}]
      rules:
        http: [{{path: /ok}}]
"""), options=["--log", "-"])
    types = [json.loads(line)["l7"]["type"] for line in result.out.splitlines()]
    assert types == ["REQUEST", "RESPONSE"]


def test_log_that_nobody_reads_loses_records_not_traffic(sluice, server):
    """A pipe whose reader sleeps: requests go on, and the loss is counted."""
    path = os.path.join(sluice.folder, "fifo")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    workload = sluice.workload(rule(f"""
  - toPorts:
    - ports: [{{port: "{server.port}", protocol: TCP}}]
      rules:
        http: [{{path: /ok.*}}]
"""), options=["--log", path])
    count = 600
    with workload.connect(server.address) as client:
        upstream = server.accept()
        for number in range(count):
            url = b"/ok/%d/" % number + b"x" * 3000
            assert ask(client, upstream, request(url)) == 200
    result = workload.finish()
    os.close(reader)
    lost = re.search(r"(\d+) records could not be written to the log", result.err)
    assert lost and 0 < int(lost[1]) < 2 * count, result.err


# sluice check

BAD_POLICY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: bad
spec:
  endpointSelector: {}
  egress:
  - toCIDR: [300.0.0.0/8]
    toPorts:
    - ports:
      - port: "70000"
        protocol: TCP
      rules:
        http:
        - path: /(
          methd: GET
"""


def test_check_prints_every_error_with_its_place(sluice, folder):
    path = f"{folder}/bad.yaml"
    with open(path, "w") as file:
        file.write(BAD_POLICY)
    result = sluice.command("check", path)
    assert result.returncode == 1 and result.stdout == ""
    places = re.findall(rf"^{re.escape(path)}:(\d+):(\d+): (.+)$", result.stderr, re.M)
    assert [int(line) for line, _, _ in places] == [8, 11, 15, 16], result.stderr
    assert "method" in places[3][2], "the nearest known key"
    assert len(result.stderr.splitlines()) == 4


def test_check_of_good_policies_is_silent(sluice, folder):
    for number in range(3):
        with open(f"{folder}/{number}.yaml", "w") as file:
            file.write(rule("  - toCIDR: [10.0.0.0/8]\n", f"p{number}"))
    result = sluice.command("check", folder)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_check_looks_at_what_the_labels_unite(sluice, folder):
    """A rule of one document opens what another holds to requests: for the workload of both."""
    rules = ["      rules: {http: [{path: /a, headers: ['X: y']}]}\n", ""]
    for number, more in enumerate(rules):
        with open(f"{folder}/{number}.yaml", "w") as file:
            file.write(rule(f"  - toPorts:\n    - ports: [{{port: 80, protocol: TCP}}]\n{more}")
                       .replace("{}", "{matchLabels: {app: web}}"))
    for label, warned in ("app=web", True), ("app=db", False):
        result = sluice.command("check", "--label", label, folder)
        assert result.returncode == 0
        assert ("these rules restrict nothing" in result.stderr) == warned, result.stderr
    result = sluice.command("check", "-l", "app", folder)
    assert result.returncode != 0 and "a label is KEY=VALUE" in result.stderr


def test_check_knows_secrets(sluice, folder):
    os.mkdir(f"{folder}/secrets")
    with open(f"{folder}/secrets/token", "w") as file:
        file.write("hush\n")
    with open(f"{folder}/p.yaml", "w") as file:
        file.write(rule("  - toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n      rules: {http: "
                        "[{headerMatches: [{name: X, secret: {name: token}}]}]}\n"))
    result = sluice.command("check", "--secrets", f"{folder}/secrets", f"{folder}/p.yaml")
    assert (result.returncode, result.stderr) == (0, "")
    assert "no directory of secrets" in sluice.command("check", f"{folder}/p.yaml").stderr


def test_check_of_a_missing_file(sluice, folder):
    result = sluice.command("check", f"{folder}/absent.yaml")
    assert result.returncode == 1 and "absent.yaml" in result.stderr


@pytest.mark.parametrize("feature", [
    "ingress: [{fromEndpoints: [{}]}]", "egress: [{toFQDNs: [{matchName: a.b}]}]",
    "egress: [{toServices: [{}]}]", "egress: [{icmps: [{}]}]",
    "egress: [{toPorts: [{ports: [{port: '80'}], rules: {dns: [{matchPattern: '*'}]}}]}]"])
def test_what_is_not_supported_is_refused(feature, sluice, folder):
    """Never ignored: a policy that means more than is enforced would be a trap. What becomes
    supported later leaves this list."""
    path = f"{folder}/new.yaml"
    with open(path, "w") as file:
        file.write("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: new}\n"
                   "spec:\n  endpointSelector: {}\n  %s\n" % feature)
    result = sluice.command("check", path)
    assert result.returncode == 1
    assert re.search(rf"{re.escape(path)}:6:\d+: ", result.stderr), result.stderr
