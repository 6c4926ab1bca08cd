# SPDX-License-Identifier: Apache-2.0
"""What sluice cannot read with certainty is refused: nothing of it arrives at the server."""
import contextlib
import os
import re
import select
import socket
import ssl
import sys

import pytest

from policies import http_policy
from talk import (ByteByByte, Talk, answers, arrives, asks, client_hears_reset, client_is_cut_off,
                  client_shuts, denied, perform, perform_all, refused, reply, send,
                  server_hears_end, Whole)

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "fuzz"))
import parsers_seeds  # noqa: E402

pytestmark = pytest.mark.held

POLICY = http_policy("anything", "- path: /ok.*")

HEAD_MAX = 65536
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n"

AT_ONCE = 100
BAD_CHUNKS = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

MALFORMED = {
    "two lengths": b"POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
                   b"Content-Length: 3\r\n\r\n",
    "a list of lengths": b"POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\n",
    "a length with a sign": b"POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n",
    "a length beyond 64 bits":
        b"POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n",
    "length and chunks": b"POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
                         b"Transfer-Encoding: chunked\r\n\r\n",
    "an encoding behind chunked": b"POST /ok HTTP/1.1\r\nHost: h\r\n"
                                  b"Transfer-Encoding: chunked, identity\r\n\r\n",
    "an encoding before chunked": b"POST /ok HTTP/1.1\r\nHost: h\r\n"
                                  b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /ok HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    "bare LF": b"GET /ok HTTP/1.1\nHost: h\n\n",
    "bare LF behind a field": b"GET /ok HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
    "bare CR": b"GET /ok HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    "a folded field": b"GET /ok HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
    "a blank before the colon": b"GET /ok HTTP/1.1\r\nHost: h\r\nX : a\r\n\r\n",
    "two blanks in the request line": b"GET  /ok HTTP/1.1\r\nHost: h\r\n\r\n",
    "a blank in the target": b"GET /ok /no HTTP/1.1\r\nHost: h\r\n\r\n",
    "NUL in a field": b"GET /ok HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    "NUL in the target": b"GET /ok\0 HTTP/1.1\r\nHost: h\r\n\r\n",
    "a fragment": b"GET /ok#no HTTP/1.1\r\nHost: h\r\n\r\n",
    "no Host": b"GET /ok HTTP/1.1\r\nX: y\r\n\r\n",
    "two Hosts": b"GET /ok HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    "an authority that is not the Host": b"GET http://a/ok HTTP/1.1\r\nHost: b\r\n\r\n",
    "HTTP/0.9": b"GET /ok\r\n\r\n",
    "HTTP/1.2": b"GET /ok HTTP/1.2\r\nHost: h\r\n\r\n",
    "HTTP/2.0 in HTTP/1's words": b"GET /ok HTTP/2.0\r\nHost: h\r\n\r\n",
    "a method that nobody knows": b"GTE /ok HTTP/1.1\r\nHost: h\r\n\r\n",
    "no name": b"GET /ok HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n",
    "no colon": b"GET /ok HTTP/1.1\r\nHost: h\r\nX\r\n\r\n",
    "a relative target": b"GET ok HTTP/1.1\r\nHost: h\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_head_is_400(name, sluice, server):
    workload = sluice.workload(POLICY.format(port=server.port))
    connections = perform_all(Talk(send(MALFORMED[name]), refused(400)), workload, server)
    result = workload.finish()
    assert result.closed("malformed") == connections
    assert result.denied(f"127.0.0.1:{server.port}: answered 400") == connections


CHUNKED_HEAD = b"POST /ok HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
MALFORMED_CHUNKS = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "a size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "bare LF behind the size": b"3\nabc\r\n0\r\n\r\n",
    "no CRLF behind the data": b"3\r\nabcd\r\n0\r\n\r\n",
    "bare LF in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "framing in a trailer": b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED_CHUNKS)
def test_malformed_chunks_end_the_connection(name, sluice, server):
    """The head was forwarded before they came. The server must not take what it has for a whole
    request, and no request behind the bad chunk arrives."""
    body = MALFORMED_CHUNKS[name] + GET
    workload = sluice.workload(POLICY.format(port=server.port))
    talk = Talk(asks(CHUNKED_HEAD), send(body))
    for variant in [Whole(), ByteByByte(), *talk.cuts()]:
        with workload.connect(server.address) as client:
            upstream = server.accept()
            client.send(CHUNKED_HEAD)
            assert upstream.read(len(CHUNKED_HEAD)) == CHUNKED_HEAD
            for piece in variant.pieces(2, body):
                try:
                    client.send(piece)
                except (BrokenPipeError, ConnectionResetError):
                    break
            heard = client.read_rest()
            assert heard == b"" or heard.startswith(b"HTTP/1.1 400 "), heard
            got = upstream.read_to_reset()
            assert b"GET" not in got and not got.endswith(b"0\r\n\r\n"), got
    assert workload.finish().closed("malformed") == len(talk.cuts()) + 2


def one_each(workload, server, streams):
    """Say each of STREAMS on a connection of its own. Returns for each what the server heard, and what
    the client did; the server says nothing."""
    heard = []
    for start in range(0, len(streams), AT_ONCE):
        batch = streams[start:start + AT_ONCE]
        with contextlib.ExitStack() as stack:
            pairs = []
            for stream in batch:
                pairs.append((stack.enter_context(workload.connect(server.address)),
                              stack.enter_context(server.accept())))
                with contextlib.suppress(OSError):
                    pairs[-1][0].send(stream)
                    pairs[-1][0].sock.shutdown(socket.SHUT_WR)
            for client, upstream in pairs:
                arrived = upstream.read_rest()
                upstream.close()
                heard.append((arrived, client.read_rest()))
    return heard


def test_every_malformed_stream_of_the_unit_tests(sluice, server):
    """Over real sockets, with an innocent request behind it. Nothing of the malformed request and what
    follows arrives; of a body with a bad chunk, what came before that chunk may."""
    rows = parsers_seeds.rows("h1_bad.inc")
    assert len(rows) >= 80
    workload = sluice.workload(POLICY.format(port=server.port).replace("/ok", ""))
    heard = one_each(workload, server, [stream + GET for _, _, stream, _ in rows])
    for (_, name, stream, _), (arrived, answer) in zip(rows, heard):
        head = stream[:stream.index(b"\r\n\r\n") + 4] if b"\r\n\r\n" in stream else stream
        begun = head == BAD_CHUNKS or name == b"empty line after a body"
        assert arrived == b"" or (begun and arrived.startswith(head)), (name, arrived)
        assert stream.startswith(arrived) and arrived != stream, (name, arrived)
        assert b"GET" not in arrived[len(head):], (name, arrived)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 "), (name, answer)
    result = workload.finish()
    refused_ones = [result.closed(why) for why in ("malformed", "tls", "http2", "not_http")]
    assert sum(refused_ones) == len(rows) and refused_ones[0] > 0.9 * len(rows), refused_ones


def paths(kind):
    return [row[1] for row in parsers_seeds.rows("path_cases.inc") if row[0] == kind]


def test_every_escape_of_the_unit_tests(sluice, server):
    """Paths that leave /static/ in some server's reading: no byte of them arrives."""
    escapes = paths("ESCAPE")
    assert len(escapes) >= 60
    workload = sluice.workload(POLICY.format(port=server.port).replace("/ok", "/static/"))
    streams = [GET.replace(b"/ok", path) for path in escapes]
    for path, (arrived, answer) in zip(escapes, one_each(workload, server, streams)):
        assert arrived == b"", path
        assert re.match(b"HTTP/1.1 40[03] ", answer), (path, answer)
    workload.finish()


def test_every_odd_path_of_the_unit_tests(sluice, server):
    """Paths that look odd and stay below /files/ in every reading: each arrives as it was sent."""
    odd = paths("ODD")
    assert len(odd) >= 60
    stream = b"".join(GET.replace(b"/ok", path) for path in odd)
    workload = sluice.workload(POLICY.format(port=server.port).replace("/ok", "/files/"))
    with workload.connect(server.address) as client:
        upstream = server.accept()
        client.send(stream)
        for path in odd:
            request = GET.replace(b"/ok", path)
            assert upstream.read(len(request)) == request
            upstream.send(OK)
        assert client.read(len(OK) * len(odd)) == OK * len(odd)
    assert workload.finish().denials == []


def test_malformed_request_behind_good_ones(sluice, server):
    """Its refusal takes its turn, and is the last thing on the connection."""
    talk = Talk(
        send(GET + GET.replace(b"/ok", b"/no") + MALFORMED["two lengths"] + GET),
        arrives(GET), answers(OK), denied(), refused(400),
    )
    workload = sluice.workload(POLICY.format(port=server.port))
    perform_all(talk, workload, server)
    workload.finish()


def test_head_cut_short_never_arrives(sluice, server):
    workload = sluice.workload(POLICY.format(port=server.port))
    for end in range(1, len(GET)):
        with workload.connect(server.address) as client:
            upstream = server.accept()
            client.send(GET[:end])
            client.shut()
            assert upstream.read_rest() == b""
            upstream.close()
            heard = client.read_rest()
            assert heard == b"" or heard.startswith(b"HTTP/1.1 400 "), heard
    workload.finish()


def head_of(size):
    head = b"GET /ok HTTP/1.1\r\nHost: h\r\n"
    while size - len(head) > 9000:
        head += b"X-Pad: %s\r\n" % (b"a" * 8000)
    head += b"X-Pad: %s\r\n\r\n" % (b"b" * (size - len(head) - len(b"X-Pad: \r\n\r\n")))
    assert len(head) == size
    return head


def test_head_up_to_the_limit_passes(sluice, server):
    head = head_of(HEAD_MAX)
    talk = Talk(asks(head), answers(OK), asks(GET), answers(OK))
    workload = sluice.workload(POLICY.format(port=server.port))
    perform_all(talk, workload, server, stride=4099)
    workload.finish()


def test_head_over_the_limit_is_431(sluice, server):
    talk = Talk(send(head_of(HEAD_MAX + 1)), refused(431))
    workload = sluice.workload(POLICY.format(port=server.port))
    connections = perform_all(talk, workload, server, stride=4099)
    result = workload.finish()
    assert result.closed("head_too_large") == connections
    assert result.denied("answered 431") == connections


def test_too_many_fields_are_431(sluice, server):
    head = b"GET /ok HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(256))
    workload = sluice.workload(POLICY.format(port=server.port))
    talk = Talk(send(head + b"\r\n"), refused(431))
    connections = perform_all(talk, workload, server, stride=29)
    assert workload.finish().closed("head_too_large") == connections


def client_hello():
    """What a real TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("reason, words, sample", [
    ("tls", "TLS", client_hello),
    ("http2", "the client broke HTTP/2", lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + GET),
    ("not_http", "not HTTP", lambda: b"\0\0\0\x08\x04\xd2\x16\x2f"),
    ("not_http", "not HTTP", lambda: b"\x10\x0c\0\4MQTT\4\2\0\x3c\0\0"),
])
def test_other_protocols_are_reset_and_reported(reason, words, sample, sluice, server):
    talk = Talk(send(sample()), client_hears_reset)
    workload = sluice.workload(POLICY.format(port=server.port), log=True)
    connections = perform_all(talk, workload, server)
    result = workload.finish()
    assert result.closed(reason) == connections
    assert result.denied(f"127.0.0.1:{server.port}") == connections
    assert words in result.err
    assert sum(words in record["reason"] for record in result.log) == connections


def test_server_that_speaks_first_is_cut_off(sluice, server):
    """No request was allowed, so no byte of an answer may come."""
    talk = Talk(reply(b"220 mail.example ESMTP\r\n"), client_is_cut_off)
    workload = sluice.workload(POLICY.format(port=server.port))
    connections = perform_all(talk, workload, server)
    result = workload.finish()
    assert result.closed("unsolicited") == connections
    assert result.denied("spoke without being asked") == connections


@pytest.mark.parametrize("response", [
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
])
def test_nothing_follows_a_response_that_cannot_be_read(response, sluice, server):
    """The answer to the allowed request passes as it is; a request behind it might be answered by
    the rest of it, so none is forwarded."""
    workload = sluice.workload(POLICY.format(port=server.port))
    with workload.connect(server.address) as client:
        upstream = server.accept()
        client.send(GET)
        assert upstream.read(len(GET)) == GET
        upstream.send(response)
        assert client.read(len(response)) == response
        client.send(GET)
        assert client.read_rest() == b""
        assert upstream.read_rest() == b""
    assert workload.finish().closed("unread_response") == 1


def test_client_ends_without_a_word(sluice, server):
    workload = sluice.workload(POLICY.format(port=server.port))
    perform(Talk(client_shuts, server_hears_end), workload, server, [Whole()] * 20)
    result = workload.finish()
    assert result.err == ""
    assert result.closed("done") == 20


@pytest.mark.long
def test_slow_head_is_408(sluice, server):
    """From its first byte on a head has a minute; a connection that says nothing has for ever."""
    workload = sluice.workload(POLICY.format(port=server.port))
    with workload.connect(server.address) as idle, workload.connect(server.address) as slow:
        upstreams = server.accept(), server.accept()
        slow.send(GET[:-1])
        slow.sock.settimeout(120)
        response = slow.read_response()
        assert response.status == 408 and response.field("connection") == "close"
        assert slow.read_to_end() == b""
        slow.close()
        idle.send(GET)
        upstream = next(u for u in upstreams if select.select([u], [], [], 5)[0] and u.waiting())
        assert upstream.read(len(GET)) == GET
        upstream.send(OK)
        assert idle.read(len(OK)) == OK
    result = workload.finish()
    assert result.closed("head_too_slow") == 1


@pytest.mark.parametrize("framing, body", [
    (b"Content-Length: %d", b"GET /no HTTP/1.1\r\nHost: h\r\n\r\n"),
    (b"Transfer-Encoding: chunked", b"0\r\n\r\nGET /no HTTP/1.1\r\nHost: h\r\n\r\n"),
])
def test_body_that_a_server_takes_for_a_request(framing, body, sluice, origin):
    """Python's http.server never reads the body of a GET, and runs what is in it."""
    workload = sluice.workload(POLICY.format(port=origin.port))
    head = b"GET /ok HTTP/1.1\r\nHost: h\r\n" + framing.replace(b"%d", b"%d" % len(body))
    with workload.connect(origin.address) as client:
        client.send(head + b"\r\n\r\n" + body)
        assert client.read_rest().startswith(b"HTTP/1.1 400 ")
    workload.finish()
    assert not any("/no" in line for line in origin.requests())
