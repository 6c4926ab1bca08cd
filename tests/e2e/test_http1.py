# SPDX-License-Identifier: Apache-2.0
"""Every feature of HTTP/1 as a conversation: what is allowed arrives byte for byte, what is denied
is answered in its turn and never arrives. Each uncut, cut at every place, and byte by byte."""
import pytest

from ends import check_denied
from policies import http_policy
from talk import (RandomPieces, Talk, answers, arrives, asks, client_hears_end, client_hears_reset,
                  client_resets, client_shuts, denied, perform, perform_all, reply, returns, send,
                  server_hears_end, server_hears_nothing, server_hears_reset, server_resets,
                  server_shuts, Whole)

POLICY = http_policy("features", """
- path: /ok.*
- method: OPTIONS
  path: \\*
- method: CONNECT
  host: db:5432
""")

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(path, more=b"", method=b"GET", version=b"1.1"):
    return b"%s %s HTTP/%s\r\nHost: h\r\n%s\r\n" % (method, path, version, more)


def post(path, body, more=b""):
    return get(path, b"Content-Length: %d\r\n%s" % (len(body), more), b"POST") + body


CHUNKED = (b"Transfer-Encoding: chunked\r\n",
           b"5\r\nhello\r\n6;a=b;c=\"d e\"\r\n world\r\n00A\r\n0123456789\r\n0\r\n\r\n")
TRAILERS = (b"TE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n",
            b"3;x\r\nabc\r\n0;last\r\nX-Sum: 900150983cd2\r\nX-Empty:\r\n\r\n")
UPGRADE = get(b"/ok/ws", b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")
SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
CONNECT = b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"
CONNECTED = b"HTTP/1.1 200 Connected\r\n\r\n"
H2C = get(b"/ok/java", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
          b"HTTP2-Settings: AAEAAEAAAAIAAAAA\r\n")
EXPECT = b"Expect: 100-continue\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOT_HTTP = b"\x81\x05GET /no HTTP/1.1\r\n\r\n\0\xff"

TALKS = {
    "keep-alive": Talk(
        asks(get(b"/ok/1")), answers(OK),
        send(get(b"/no/2")), denied(),
        asks(get(b"/ok/3")), answers(OK),
    ),
    "a denial takes its turn in a pipeline": Talk(
        send(get(b"/ok/1") + get(b"/no/2") + get(b"/ok/3")),
        arrives(get(b"/ok/1")), answers(OK),
        denied(),
        arrives(get(b"/ok/3")), answers(OK),
    ),
    "a pipeline that begins and ends with denials": Talk(
        send(get(b"/no/1") + get(b"/no/2") + get(b"/ok/3") + get(b"/no/4")),
        denied(), denied(),
        arrives(get(b"/ok/3")), answers(OK),
        denied(),
    ),
    "responses in two parts around a denial": Talk(
        send(get(b"/ok/1") + get(b"/no/2", method=b"HEAD") + get(b"/ok/3")),
        arrives(get(b"/ok/1")), answers(OK[:-1]), answers(OK[-1:]),
        denied(to_head=True),
        arrives(get(b"/ok/3")), answers(OK),
    ),
    "chunks with extensions": Talk(
        asks(get(b"/ok", CHUNKED[0], b"PUT") + CHUNKED[1]),
        answers(b"HTTP/1.1 200 OK\r\n" + CHUNKED[0] + b"\r\n" + CHUNKED[1]),
        asks(get(b"/ok/next")), answers(OK),
    ),
    "chunks with trailers": Talk(
        asks(get(b"/ok", TRAILERS[0], b"PUT") + TRAILERS[1]),
        answers(b"HTTP/1.1 200 OK\r\n" + TRAILERS[0] + b"\r\n" + TRAILERS[1]),
        asks(get(b"/ok/next")), answers(OK),
    ),
    "a body with a length": Talk(
        asks(post(b"/ok", b"GET /no HTTP/1.1\r\nHost: h\r\n\r\n")), answers(OK),
        asks(post(b"/ok", b"")), answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        asks(get(b"/ok")), answers(OK),
    ),
    "a denied body is swallowed": Talk(
        send(post(b"/no", b"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n")), denied(),
        send(get(b"/no", CHUNKED[0], b"PUT") + CHUNKED[1]), denied(),
        asks(get(b"/ok")), answers(OK),
    ),
    "HEAD": Talk(
        asks(get(b"/ok", method=b"HEAD")),
        answers(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        asks(get(b"/ok", method=b"HEAD")), answers(b"HTTP/1.1 200 OK\r\n" + CHUNKED[0] + b"\r\n"),
        asks(get(b"/ok")), answers(OK),
        send(get(b"/no", method=b"HEAD")), denied(to_head=True),
        asks(get(b"/ok")), answers(OK),
    ),
    "Expect, and 100 comes": Talk(
        asks(get(b"/ok", EXPECT + b"Content-Length: 4\r\n", b"PUT")), answers(CONTINUE),
        asks(b"body"), answers(OK),
        asks(get(b"/ok")), answers(OK),
    ),
    "Expect, but the client does not wait": Talk(
        asks(get(b"/ok", EXPECT + b"Content-Length: 4\r\n", b"PUT") + b"body"),
        answers(CONTINUE + OK),
        asks(get(b"/ok")), answers(OK),
    ),
    "Expect, and the server refuses": Talk(
        asks(get(b"/ok", EXPECT + b"Content-Length: 4\r\n", b"PUT")),
        answers(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        server_shuts, client_hears_end,
    ),
    "Expect, denied": Talk(
        send(get(b"/no", EXPECT + b"Content-Length: 4\r\n", b"PUT")),
        denied(ends=True), client_hears_end,
    ),
    "early hints": Talk(
        asks(get(b"/ok")),
        answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
        answers(b"HTTP/1.1 102 Processing\r\n\r\n" + OK),
        asks(get(b"/ok")), answers(OK),
    ),
    "204 and 304": Talk(
        asks(get(b"/ok")), answers(b"HTTP/1.1 204 No Content\r\n\r\n"),
        asks(get(b"/ok")), answers(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"),
        asks(get(b"/ok")), answers(OK),
        send(get(b"/no")), denied(),
    ),
    "a response that lasts until the end": Talk(
        asks(get(b"/ok")), answers(b"HTTP/1.1 200 OK\r\n\r\nall\r\n\r\nof this"),
        server_shuts, client_hears_end,
    ),
    "HTTP/1.0": Talk(
        asks(b"GET /ok HTTP/1.0\r\n\r\n"), answers(b"HTTP/1.0 200 OK\r\n\r\nhello"),
        server_shuts, client_hears_end,
    ),
    "HTTP/1.0 with keep-alive": Talk(
        asks(get(b"/ok", b"Connection: keep-alive\r\n", version=b"1.0")),
        answers(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"),
        asks(get(b"/ok", b"Connection: keep-alive\r\n", version=b"1.0")),
        answers(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"),
        server_shuts, client_hears_end,
    ),
    "Connection: close from the client": Talk(
        asks(get(b"/ok", b"Connection: close\r\n")), answers(OK),
        server_shuts, client_hears_end,
    ),
    "Connection: close from the server": Talk(
        asks(get(b"/ok")),
        answers(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"),
        server_shuts, client_hears_end,
    ),
    "OPTIONS *": Talk(
        asks(get(b"*", method=b"OPTIONS")), answers(OK),
        asks(get(b"/ok")), answers(OK),
    ),
    "an absolute target": Talk(
        asks(get(b"http://h/ok")), answers(OK),
        send(get(b"http://h/no")), denied(),
    ),
    "field lines of every kind": Talk(
        asks(get(b"/ok?q=%2e&%C3%A4;~!$'()*,@[]", b"x-LOWER: 1\r\nX-EMPTY:\r\nX-Tab:\t a\tb \t\r\n"
                 b"X-Bytes: \x80\xff\xc3\xa9\r\nCookie: a=b; c=\"d\"\r\nX-EMPTY: again\r\n")),
        answers(b"HTTP/1.1 299 \r\nset-cookie: a\r\nSet-Cookie: b\r\nX-\x21: \xff\r\n"
                b"Content-Length: 0\r\n\r\n"),
    ),
    "WebSocket": Talk(
        asks(UPGRADE), answers(SWITCH),
        asks(NOT_HTTP), answers(NOT_HTTP),
        asks(get(b"/no")), answers(OK),
    ),
    "WebSocket, and the client does not wait": Talk(
        send(UPGRADE + NOT_HTTP), arrives(UPGRADE), server_hears_nothing,
        answers(SWITCH), arrives(NOT_HTTP), answers(NOT_HTTP),
    ),
    "WebSocket, and the server speaks at once": Talk(
        asks(UPGRADE), answers(SWITCH + NOT_HTTP), asks(NOT_HTTP),
    ),
    "WebSocket, half-closed by the client": Talk(
        asks(UPGRADE), answers(SWITCH),
        client_shuts, server_hears_end, answers(NOT_HTTP), server_shuts, client_hears_end,
    ),
    "WebSocket, half-closed by the server": Talk(
        asks(UPGRADE), answers(SWITCH),
        server_shuts, client_hears_end, asks(NOT_HTTP), client_shuts, server_hears_end,
    ),
    "WebSocket, reset by the client": Talk(
        asks(UPGRADE), answers(SWITCH + NOT_HTTP), client_resets, server_hears_reset,
    ),
    "WebSocket, reset by the server": Talk(
        asks(UPGRADE), answers(SWITCH), asks(NOT_HTTP), server_resets, client_hears_reset,
    ),
    "WebSocket, denied": Talk(
        send(UPGRADE.replace(b"/ok", b"/no")), denied(),
        asks(get(b"/ok")), answers(OK),
    ),
    "an upgrade that the server ignores": Talk(
        send(UPGRADE + get(b"/no") + get(b"/ok/2")), arrives(UPGRADE), server_hears_nothing,
        answers(OK), denied(), arrives(get(b"/ok/2")), answers(OK),
    ),
    "an upgrade that the server refuses": Talk(
        asks(UPGRADE), answers(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"
                               b"Connection: Upgrade\r\nContent-Length: 0\r\n\r\n"),
        send(get(b"/no")), denied(),
        asks(get(b"/ok")), answers(OK),
    ),
    "an upgrade to HTTP/2 that the server ignores": Talk(
        asks(H2C), answers(OK),
        send(get(b"/no")), denied(),
        asks(get(b"/ok")), answers(OK),
    ),
    "CONNECT": Talk(
        asks(CONNECT), answers(CONNECTED),
        asks(NOT_HTTP), answers(NOT_HTTP),
        client_shuts, server_hears_end, answers(OK), server_shuts, client_hears_end,
    ),
    "CONNECT, and the client does not wait": Talk(
        send(CONNECT + NOT_HTTP), arrives(CONNECT), server_hears_nothing,
        answers(CONNECTED + NOT_HTTP), arrives(NOT_HTTP),
    ),
    "CONNECT, refused by the server": Talk(
        send(CONNECT + get(b"/no")), arrives(CONNECT), server_hears_nothing,
        answers(b"HTTP/1.1 407 Who?\r\nContent-Length: 2\r\n\r\nno"), denied(),
        asks(get(b"/ok")), answers(OK),
    ),
    "CONNECT, denied": Talk(
        send(CONNECT.replace(b"5432", b"22") + get(b"/ok")), denied(ends=True), client_hears_end,
    ),
    "half-closed by the client": Talk(
        asks(get(b"/ok")), client_shuts, server_hears_end,
        answers(OK), server_shuts, client_hears_end,
    ),
    "half-closed by the client behind a denial": Talk(
        send(get(b"/ok") + get(b"/no")), client_shuts, arrives(get(b"/ok")),
        answers(OK), denied(), server_hears_end, server_shuts, client_hears_end,
    ),
    "half-closed by the server": Talk(
        asks(get(b"/ok")), answers(OK), server_shuts, client_hears_end,
        client_shuts, server_hears_end,
    ),
    "half-closed by the server while the body goes on": Talk(
        asks(post(b"/ok", b"0123456789")[:-6]),
        answers(b"HTTP/1.1 413 Too much\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        server_shuts, client_hears_end, asks(b"456789"),
    ),
    "an early response": Talk(
        asks(post(b"/ok", b"0123456789")[:-6]), answers(OK), asks(b"456789"),
        asks(get(b"/ok")), answers(OK),
        send(get(b"/no")), denied(),
    ),
    "reset by the client while it sends": Talk(
        asks(post(b"/ok", b"0123456789")[:-6]), client_resets, server_hears_reset,
    ),
    "reset by the client while it waits": Talk(
        asks(get(b"/ok")), client_resets, server_hears_reset,
    ),
    "reset by the client between requests": Talk(
        asks(get(b"/ok")), answers(OK), client_resets, server_hears_reset,
    ),
    "an answer that is not HTTP": Talk(
        asks(get(b"/ok")), answers(b"SSH-2.0-what\r\n"), answers(b"and no more"),
        server_shuts, client_hears_end,
    ),
    "an answer whose head is cut short": Talk(
        asks(get(b"/ok")), reply(b"HTTP/1.1 200 OK\r\nContent-Le"), server_shuts,
        returns(b"HTTP/1.1 200 OK\r\nContent-Le"), client_hears_end,
    ),
    "a body whose last chunk is cut short": Talk(
        asks(get(b"/ok")),
        answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        reply(b"1"), server_shuts, returns(b"1"), client_hears_end,
    ),
    "reset by the server while it answers": Talk(
        asks(get(b"/ok")), answers(OK[:-1]), server_resets, client_hears_reset,
    ),
    "reset by the server before it answers": Talk(
        asks(get(b"/ok")), server_resets, client_hears_reset,
    ),
    "reset by the server between requests": Talk(
        asks(get(b"/ok")), answers(OK), server_resets, client_hears_reset,
    ),
}


def is_all_allowed(talk):
    return not any(step.verb == "denied" or "nothing" in step.verb for step in talk.steps)


@pytest.mark.parametrize("name", TALKS)
def test_feature(name, sluice, server):
    talk = TALKS[name]
    if sluice.direct and not is_all_allowed(talk):
        pytest.skip("needs sluice")
    workload = sluice.workload(POLICY.format(port=server.port))
    connections = perform_all(talk, workload, server)
    result = workload.finish()
    assert result.other_lines == []
    n_denied = sum(step.verb == "denied" for step in talk.steps) * connections
    assert result.denied("no rule allows it") == n_denied
    if not sluice.direct:
        assert result.stats["conn.opened"] == connections


@pytest.mark.held
@pytest.mark.long
@pytest.mark.parametrize("name", TALKS)
def test_feature_in_random_pieces(name, sluice, server):
    """Both sides' bytes cut in several places at once."""
    workload = sluice.workload(POLICY.format(port=server.port), workers=2)
    perform(TALKS[name], workload, server, [RandomPieces(seed) for seed in range(1000, 2000)])
    assert workload.finish().other_lines == []


@pytest.mark.held
@pytest.mark.parametrize("count", [63, 64, 65, 200])
def test_long_pipeline(count, sluice, server):
    """More requests at once than are kept open: none is lost, and every answer has its turn."""
    pairs = [(get(b"/%s/%d" % (b"no" if i % 3 == 1 else b"ok", i)), i % 3 != 1)
             for i in range(count)]
    steps = [send(b"".join(raw for raw, _ in pairs))]
    for raw, allowed in pairs:
        steps += [arrives(raw), *answers(OK)] if allowed else [denied()]
    workload = sluice.workload(POLICY.format(port=server.port))
    talk = Talk(*steps)
    perform(talk, workload, server, [Whole()])
    perform(talk, workload, server, [RandomPieces(seed) for seed in range(10)])
    assert workload.finish().other_lines == []


@pytest.mark.held
def test_switch_to_http2_ends_the_connection(sluice, server):
    """sluice cannot judge what would follow, so nothing may."""
    talk = Talk(
        asks(H2C),
        reply(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
        client_hears_reset,
    )
    workload = sluice.workload(POLICY.format(port=server.port), log=True)
    connections = perform_all(talk, workload, server)
    result = workload.finish()
    assert result.closed("bad_upgrade") == connections
    assert result.denied(f"127.0.0.1:{server.port}: the server switched") == connections
    ended = [record for record in result.log if record.get("close") == "bad_upgrade"]
    assert len(ended) == connections and all("cannot be read" in r["reason"] for r in ended)


@pytest.mark.held
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_denied_body_over_the_limit_ends_the_connection(framing, sluice, server):
    """The 403 must reach a client that is still sending. How long chunks will be is not known when
    they are answered, so the answer cannot announce the end."""
    size = 65537
    more, body = {
        "length": (b"Content-Length: %d\r\n" % size, b"x" * size),
        "chunks": (CHUNKED[0], b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size)),
    }[framing]
    workload = sluice.workload(POLICY.format(port=server.port))
    client, upstream = workload.connect(server.address), server.accept()
    client.send(get(b"/no", more, b"PUT") + body)
    response = client.read_response()
    check_denied(response)
    if framing == "length":
        assert response.field("connection") == "close"
    assert client.read_to_end() == b""
    client.close()
    assert upstream.read_rest() == b""
    assert workload.finish().closed("denied") == 1


@pytest.mark.held
def test_denied_body_up_to_the_limit_keeps_the_connection(sluice, server):
    body = b"x" * 65536
    talk = Talk(
        send(post(b"/no", body)), denied(),
        asks(get(b"/ok")), answers(OK),
    )
    workload = sluice.workload(POLICY.format(port=server.port))
    perform(talk, workload, server, [Whole()])
    perform(talk, workload, server, talk.cuts(stride=3001))
    workload.finish()


def test_unsteered_port_is_untouched(sluice, server):
    """A port without HTTP rules: the connection is the application's own, whatever it says."""
    policy = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: plain
spec:
  endpointSelector: {}
  egress:
  - toPorts:
    - ports:
      - port: "%d"
        protocol: TCP
""" % server.port
    workload = sluice.workload(policy)
    with workload.connect(server.address) as client:
        upstream = server.accept()
        assert upstream.sock.getpeername() == client.sock.getsockname()
        client.send(NOT_HTTP)
        assert upstream.read(len(NOT_HTTP)) == NOT_HTTP
    result = workload.finish()
    assert result.err == ""
    if not sluice.direct:
        assert result.stats["conn.opened"] == 0
