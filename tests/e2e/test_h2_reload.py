# SPDX-License-Identifier: Apache-2.0
"""The policy changes while streams of HTTP/2 live: it is met by each of them for itself. Calls of gRPC
are in test_grpc.py."""
import pytest

from h2_frames import (CANCEL, DATA, END_HEADERS, INADEQUATE_SECURITY, OK, Frames, frame, get,
                       greet, headers, literal, post, reset)
from test_reload import Live, policy, port

pytestmark = pytest.mark.held


def test_streams_of_http2(sluice, server, folder):
    """Each for itself: those that are denied now are reset on both sides, their neighbours on the
    connection live, and the next request meets the new policy."""
    live = Live(sluice, folder, policy(port(server.port, "/.*")), log=True)
    client, upstream = greet(live.run, server)
    opened = post(1, b"/keep") + post(3, b"/drop") + post(
        5, b"/drop/Call", literal(b"content-type", b"application/grpc"))
    begun = b"".join(headers(stream, OK, END_HEADERS) for stream in (1, 3))
    client.send(opened)
    assert upstream.read(len(opened)) == opened
    upstream.send(begun)
    assert client.read(len(begun)) == begun
    assert live.change(policy(port(server.port, "/keep"))) == 0
    for end, code in (upstream, CANCEL), (client, INADEQUATE_SECURITY):
        resets = {reset(3, CANCEL), reset(5, code)}
        assert {end.read(13), end.read(13)} == resets
    for source, sink in (client, upstream), (upstream, client):
        more = frame(DATA, 0, 1, b"more")
        source.send(more)
        assert sink.read(len(more)) == more
    client.send(get(7, b"/drop") + get(9, b"/keep"))
    assert upstream.read(len(get(9, b"/keep"))) == get(9, b"/keep")
    answer = Frames(client.read(9) + client.waiting())
    assert answer.heads == [(7, {":status": "403", "content-length": "0"})]
    client.close()
    result = live.finish()
    assert result.closed("done") == 1
    assert result.denied("/drop: ended by a new policy: no rule allows it") == 1
    assert result.denied("/drop/Call: ended by a new policy: no rule allows it") == 1
    ends = {r["l7"]["stream"]: r["l7"].get("reset") for r in result.log
            if r.get("l7", {}).get("type") == "END"}
    assert ends == {3: "CANCEL", 5: "INADEQUATE_SECURITY", 1: "CANCEL", 9: "CANCEL"}
