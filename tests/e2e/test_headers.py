# SPDX-License-Identifier: Apache-2.0
"""Header rules: what has to be there, what is only watched, and what is changed on the way."""
import pytest

from ends import check_denied
from policies import http_policy
from talk import (Talk, answers, arrives, asks, denied, perform_all, refused, reply, returns,
                  send)

pytestmark = pytest.mark.held

POLICY = http_policy("mended", """
- path: /plain.*
- path: /watched
  headerMatches: [{{name: X-Team, value: ops, mismatch: LOG}}]
- path: /secret
  headerMatches: [{{name: X-Token, secret: {{name: token}}}}]
- path: /add
  headerMatches: [{{name: X-Team, value: ops, mismatch: ADD}}]
- path: /set
  headerMatches: [{{name: X-Team, value: ops, mismatch: REPLACE}}]
- path: /del
  headerMatches: [{{name: X-Team, value: ops, mismatch: DELETE}}]
- path: /token
  headerMatches: [{{name: Authorization, secret: {{name: token}}, mismatch: REPLACE}},
                  {{name: X-Debug, value: none, mismatch: DELETE}}]
""")


@pytest.fixture
def held(sluice, tmp_path):
    """A workload under POLICY. The secret is "hush"."""
    (tmp_path / "token").write_text("hush\n")

    def start(port):
        return sluice.workload(POLICY.format(port=port), log=True,
                               options=["--secrets", str(tmp_path)])
    return start


def request(path, fields="", body=""):
    return f"POST {path} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {len(body)}\r\n\r\n" \
           f"{body}".encode()


def mismatches(result):
    return [record["l7"].get("header_mismatches") for record in result.log
            if record["l7"]["type"] == "REQUEST"]


# What is sent of the fields, and what a server gets of them.
CASES = [
    ("/plain", "X-Team: dev\r\n", ["X-Team: dev"]),
    ("/watched", "", []),
    ("/watched", "X-Team: ops\r\n", ["X-Team: ops"]),
    ("/secret", "X-Token: hush\r\n", ["X-Token: hush"]),
    ("/secret", "", 403),
    ("/secret", "X-Token: hus\r\n", 403),
    ("/add", "", ["X-Team: ops"]),
    ("/add", "x-team: dev\r\n", ["x-team: dev", "X-Team: ops"]),
    ("/add", "x-team: ops\r\n", ["x-team: ops"]),
    ("/add", "Connection: X-Team\r\n", 403),
    ("/set", "x-team: dev\r\nA: 1\r\nX-TEAM: qa\r\n", ["A: 1", "X-Team: ops"]),
    ("/set", "Connection: close, x-team\r\nX-Team: ops\r\n", 403),
    ("/del", "X-Team: dev\r\nA: 1\r\nx-team: ops\r\n", ["A: 1"]),
    ("/del", "X-Team: ops\r\n", ["X-Team: ops"]),
    ("/token", "X-debug: 1\r\nAuthorization: mine\r\n", ["Authorization: hush"]),
]
WATCHED = {"name": "X-Team", "action": "LOG", "value": "ops"}
TOKEN = {"name": "Authorization", "action": "REPLACE", "value": "[redacted]"}


def test_a_server_gets_what_the_rules_say(held, origin):
    workload = held(origin.port)
    for path, fields, want in CASES:
        with workload.connect(origin.address) as client:
            client.send(request(path, fields, "hello"))
            response = client.read_response()
            assert response.status == (200 if want != 403 else 403), (path, fields)
            if want == 403:
                check_denied(response)
    result = workload.finish()
    arrived = [(case[0], case[2]) for case in CASES if case[2] != 403]
    assert origin.requests() == [f"POST {path}" for path, _ in arrived]
    for fields, (path, want) in zip(origin.fields(), arrived):
        got = sorted(f"{name}: {value}" for name, value in fields)
        assert got == sorted(["Host: h", "Content-Length: 5", *want]), path
    did = [m for m in mismatches(result) if m]
    assert did[0] == [WATCHED]
    assert [[m["action"] for m in one] for one in did] == \
        [["LOG"], ["ADD"], ["ADD"], ["REPLACE"], ["DELETE"], ["REPLACE", "DELETE"]]
    assert did[-1] == [TOKEN, {"name": "X-Debug", "action": "DELETE", "value": "none"}]
    assert "hush" not in result.err + open(f"{workload.folder}/log").read()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
PLAIN = b"GET /plain HTTP/1.1\r\nHOST:  h \r\nX-Team:dev\r\n\r\n"


def test_nothing_else_changes(held, server):
    """Byte by byte, in the midst of requests that pass as they came, however they are cut (at
    every byte: unit/proxy/relay_talks_edits.inc)."""
    asked = b"PUT /set HTTP/1.1\r\nx-TEAM:a\r\nHOST:\th \r\nX_Team: \xff\r\nX-Team:\r\n" \
            b"content-length:5\r\n\r\nX-Tea"
    mended = b"PUT /set HTTP/1.1\r\nHOST:\th \r\nX_Team: \xff\r\n" \
             b"content-length:5\r\nX-Team: ops\r\n\r\nX-Tea"
    talk = Talk(send(PLAIN + asked + PLAIN.replace(b"/plain", b"/no") + asked),
                arrives(PLAIN + mended + mended), reply(OK + OK + OK), returns(OK + OK), denied(),
                returns(OK), asks(PLAIN), answers(OK))
    workload = held(server.port)
    perform_all(talk, workload, server, stride=7)
    workload.finish()


def test_head_that_grows_too_large_is_431(held, server):
    """What a rule adds counts: no server gets a head that sluice would not take from a client."""
    room = 65536 - len(b"GET /add HTTP/1.1\r\nHost: h\r\nX: \r\nX-Team: ops\r\n\r\n")
    head = b"GET /add HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n"
    workload = held(server.port)
    with workload.connect(server.address) as client:
        upstream = server.accept()
        client.send(head % (b"x" * room))
        assert upstream.read(65536).endswith(b"x\r\nX-Team: ops\r\n\r\n")
        upstream.send(OK)
        assert client.read(len(OK)) == OK
    count = perform_all(Talk(send(head % (b"x" * (room + 1))), refused(431)), workload, server,
                        stride=16411)
    result = workload.finish()
    assert result.closed("head_too_large") == count
    assert sum("with what a rule adds" in record.get("reason", "") for record in result.log) == count
    assert len([record for record in result.log if record["verdict"] == "FORWARDED"]) == 2


def place_of(word, text):
    """The line and column of WORD's first letter, from 1."""
    before, _, _ = text.partition(word)
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def test_check_accepts_what_run_accepts(sluice, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.format(port=80))
    done = sluice.command("check", str(path))
    assert done.returncode == 0, done.stderr
    text = POLICY.format(port=80).replace("X-Debug", "Transfer-Encoding")
    path.write_text(text)
    done = sluice.command("check", str(path))
    assert done.returncode == 1
    line, column = place_of("Transfer-Encoding", text)
    assert (f'{path}:{line}:{column}: "Transfer-Encoding" says how a message is carried'
            in done.stderr)
