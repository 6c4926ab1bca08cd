# SPDX-License-Identifier: Apache-2.0
"""A policy in arguments: --allow, what --print-policy shows of it, and --port."""
import socket

import pytest

from servers import RawServer
from test_policy import ask, is_refused, request, rule

pytestmark = pytest.mark.held
V6 = socket.AF_INET6
# The workload gets files of its own in place of the system's, and the test leaves those alone.
WITH_FILES = 'mount --bind "$1" "$2" && mount --bind "$3" "$4" && shift 4 && exec "$@"'


def allow(*texts):
    return [word for text in texts for word in ("--allow", text)]


def answers(workload, server, requests, family=socket.AF_INET):
    with workload.connect(server.address, family) as client:
        upstream = server.accept()
        return [ask(client, upstream, each) for each in requests]


def test_address(sluice, server):
    workload = sluice.workload(
        options=allow(f"GET,PUT http://127.0.0.1:{server.port}/api/**",
                      f"POST http://127.0.0.1:{server.port}/orders/*/items"))
    allowed = [request(b"/api/"), request(b"/api/a/b?c", b"PUT"),
               request(b"/orders/7/items", b"POST", b"any.name")]
    denied = [request(b"/api"), request(b"/api/", b"POST"), request(b"/orders/7/8/items", b"POST"),
              request(b"/orders/7/items"), request(b"/api/..%2fx")]
    assert answers(workload, server, allowed + denied) == [200] * 3 + [403] * 5
    with RawServer() as other:
        assert is_refused(workload, other.address)
    assert workload.finish().denied('rules.http[0] of policy "allow" differs in path') >= 1


@pytest.fixture
def own_names(folder):
    """A command that gives what it starts a hosts file with a name of both families, and a resolver
    on loopback."""
    with open(f"{folder}/hosts", "w") as hosts:
        hosts.write("127.0.0.1 shop.test\n::1 shop.test\n")
    with open(f"{folder}/resolv.conf", "w") as conf:
        conf.write("nameserver 127.11.12.13\n")
    return ("unshare", "--mount", "sh", "-c", WITH_FILES, "sh", f"{folder}/hosts", "/etc/hosts",
            f"{folder}/resolv.conf", "/etc/resolv.conf")


@pytest.mark.parametrize("name", ["shop.test", "localhost"])
def test_name_of_both_families(name, own_names, sluice):
    with RawServer("127.0.0.1") as four, RawServer("::1", four.port) as six:
        workload = sluice.workload(options=allow(f"GET http://{name}:{four.port}/a"),
                                   prefix=own_names)
        host = f"{name}:{four.port}".encode()
        for server, family in (four, socket.AF_INET), (six, V6):
            assert answers(workload, server, [request(b"/a", host=host),
                                              request(b"/a", host=host.upper()),
                                              request(b"/a", host=b"other.test"),
                                              request(b"/b", host=host)],
                           family) == [200, 200, 403, 403]
        with RawServer("127.0.0.2", four.port) as other:
            assert is_refused(workload, other.address)
        workload.finish()


def test_dns_comes_along(own_names, sluice):
    workload = sluice.workload(options=allow("GET http://shop.test/"), prefix=own_names)
    with workload.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"?", ("127.11.12.13", 53))
        for address in ("127.11.12.13", 54), ("127.11.12.14", 53):
            with pytest.raises(PermissionError):
                sock.sendto(b"?", address)
    with workload.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(("127.11.12.13", 53))
    workload.finish()


@pytest.mark.parametrize("text, column, message", [
    ("get http://127.0.0.1/", 1, "write GET, not get"),
    ("GET https://127.0.0.1/", 5, "https cannot be read"),
    ("GET http://name.invalid/", 12, 'the name "name.invalid" cannot be resolved'),
])
def test_error_names_the_argument(text, column, message, sluice):
    result = sluice.run("echo", "started", options=allow(text))
    assert result.code == 125 and result.out == b""
    assert result.err.startswith(f"--allow '{text}':1:{column}: ") and message in result.err


def test_printed_policy_means_the_same(sluice, server, folder):
    """Printed, checked, and held to once more."""
    path = f"{folder}/printed.yaml"
    given = rule(f"""
  - toPorts:
    - ports: [{{port: Web, protocol: TCP}}]
      rules:
        http: [{{path: /named}}]
""").strip()
    port = ["--port", f"web={server.port}"]
    printed = sluice.run("echo", "started", policy=given, options=[
        *port, "--print-policy", *allow(f"GET http://127.0.0.1:{server.port}/it's/**")])
    assert (printed.code, printed.err) == (0, "")
    assert b"started" not in printed.out and printed.out.count(b"\n---\n# --allow\n") == 1
    with open(path, "wb") as file:
        file.write(printed.out)
    checked = sluice.command("check", *port, path)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    again = sluice.run(options=["-p", path, *port, "--print-policy"])
    assert again.out == f"# {path}\n".encode() + printed.out
    workload = sluice.workload(options=["-p", path, *port])
    assert answers(workload, server, [
        request(b"/named"), request(b"/it's/a/b"), request(b"/its/a"),
        request(b"/it's/a", b"POST")]) == [200, 200, 403, 403]
    workload.finish()


def test_named_ports(sluice):
    text = rule("  - toPorts: [{ports: [{port: web, protocol: TCP}, {port: Dns}]}]\n")
    with RawServer() as web, RawServer() as more, RawServer() as dns:
        workload = sluice.workload(text, options=[
            "--port", f"web={web.port}/tcp", "--port", f"web={more.port}",
            "--port", f"dns={dns.port}/udp"])
        assert not is_refused(workload, web.address)
        assert not is_refused(workload, more.address)
        assert is_refused(workload, dns.address)
        workload.finish()
    result = sluice.run("true", policy=text, options=["--port", "web=1"])
    assert result.code == 125
    assert 'no port of the name "Dns" is known; write its number, or say which it is: --port ' \
           "Dns=NUMBER" in result.err
