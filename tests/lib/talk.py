# SPDX-License-Identifier: Apache-2.0
"""A scripted conversation between a client in a workload and a server, checked byte by byte.

A Talk is a list of steps, each of one side: say these bytes, hear exactly those, end, reset. It is
performed once as it stands, once with its bytes one by one, and once for every place at which what
one side says can be cut in two. Whatever the cut, both sides must hear the same bytes.

Many performances go on at once, each on a connection of its own and all at the same step. A cut is
real: the second part is said only once the first was read by whoever is at the other end.
"""
import contextlib
import random

from ends import End, check_denied
from procfs import PATIENCE
from sockdiag import Watch, wait_read

AT_ONCE = 150  # connections


class Step:
    def __init__(self, verb, data=b"", **how):
        self.verb, self.data, self.how = verb, data, how

    def __repr__(self):
        return f"{self.verb}({self.data[:40]!r})" if self.data else self.verb


def send(data):
    """The client says DATA."""
    return Step("send", data)


def reply(data):
    """The server says DATA."""
    return Step("reply", data)


def arrives(data):
    """The server hears exactly DATA."""
    return Step("arrives", data)


def returns(data):
    """The client hears exactly DATA."""
    return Step("returns", data)


def asks(data):
    """The client says DATA, and the server hears it."""
    return send(data), arrives(data)


def answers(data):
    """The server says DATA, and the client hears it."""
    return reply(data), returns(data)


def denied(to_head=False, ends=False):
    """The client hears the documented denial; ENDS: and that the connection will not be kept."""
    return Step("denied", to_head=to_head, ends=ends)


def refused(status):
    """The client hears STATUS, and then the end of the connection."""
    return Step("refused", status=status)


# The server has heard nothing more, though sluice has read all that the client said; and the other
# way round.
server_hears_nothing = Step("server_hears_nothing")
client_hears_nothing = Step("client_hears_nothing")
# One side says that it will say no more; the other hears that.
client_shuts, server_shuts = Step("client_shuts"), Step("server_shuts")
client_hears_end, server_hears_end = Step("client_hears_end"), Step("server_hears_end")
# One side breaks the connection off; the other hears that, and no byte before it.
client_resets, server_resets = Step("client_resets"), Step("server_resets")
client_hears_reset, server_hears_reset = Step("client_hears_reset"), Step("server_hears_reset")
# The client hears no byte, and then an end of either kind.
client_is_cut_off = Step("client_is_cut_off")

SAYS = {"send": "client", "reply": "server"}


class Talk:
    def __init__(self, *steps):
        self.steps = []
        for step in steps:
            self.steps += step if isinstance(step, tuple) else [step]

    def cuts(self, stride=1):
        """Every place at which something that is said can be cut in two."""
        return [Cut(number, at) for number, step in enumerate(self.steps) if step.verb in SAYS
                for at in range(1, len(step.data), stride)]


class Whole:
    def pieces(self, number, data):
        return [data]

    def __repr__(self):
        return "uncut"


class Cut:
    def __init__(self, number, at):
        self.number, self.at = number, at

    def pieces(self, number, data):
        return [data[:self.at], data[self.at:]] if number == self.number else [data]

    def __repr__(self):
        return f"step {self.number} cut at {self.at}"


class ByteByByte:
    def pieces(self, number, data):
        return [data[i:i + 1] for i in range(len(data))]

    def __repr__(self):
        return "byte by byte"


class RandomPieces:
    """Cut in several places at once, the same ones for the same seed."""

    def __init__(self, seed):
        self.seed = seed

    def pieces(self, number, data):
        chance = random.Random(f"{self.seed} {number}")
        places = sorted(chance.sample(range(1, len(data)), min(4, len(data) - 1)))
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)])]

    def __repr__(self):
        return f"pieces of seed {self.seed}"


class Performance:
    """One connection on which a talk is performed."""

    def __init__(self, talk, variant, client, server):
        self.talk, self.variant = talk, variant
        self.client, self.server = client, server
        self.heard = b""  # what sluice itself said to the client

    def pieces(self, number):
        return self.variant.pieces(number, self.talk.steps[number].data)

    def say(self, number, piece):
        side = getattr(self, SAYS[self.talk.steps[number].verb])
        try:
            side.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            # What is refused may be refused before it is said to its end.
            if not any(s.verb in ENDS_EARLY for s in self.talk.steps[number:]):
                raise

    def hear(self, number):
        step = self.talk.steps[number]
        try:
            getattr(self, "_" + step.verb)(step)
        except (AssertionError, OSError, EOFError) as error:
            raise AssertionError(f"{self.variant!r}: at step {number}, {step!r}: "
                                 f"{type(error).__name__}: {error}") from error

    def _arrives(self, step):
        got = self.server.read(len(step.data))
        assert got == step.data, f"the server heard {got!r}, not {step.data!r}"

    def _returns(self, step):
        got = self.client.read(len(step.data))
        assert got == step.data, f"the client heard {got!r}, not {step.data!r}"

    def _denied(self, step):
        response = self.client.read_response(step.how["to_head"])
        check_denied(response, step.how["to_head"])
        self.heard += response.raw
        ends = response.field("connection") == "close"
        assert ends == step.how["ends"], response.raw

    def _refused(self, step):
        response = self.client.read_response()
        assert response.status == step.how["status"], response.raw
        assert response.field("connection") == "close", response.raw
        self.heard += response.raw
        rest = self.client.read_rest()
        assert rest == b"", f"more after the refusal: {rest!r}"

    def _server_hears_nothing(self, _):
        assert self.server.waiting() == b""

    def _client_hears_nothing(self, _):
        assert self.client.waiting() == b""

    def _client_shuts(self, _):
        self.client.shut()

    def _server_shuts(self, _):
        self.server.shut()

    def _client_hears_end(self, _):
        rest = self.client.read_to_end()
        assert rest == b"", f"the client heard {rest!r} before the end"

    def _server_hears_end(self, _):
        rest = self.server.read_to_end()
        assert rest == b"", f"the server heard {rest!r} before the end"

    def _client_resets(self, _):
        self.client.reset()

    def _server_resets(self, _):
        self.server.reset()

    def _client_hears_reset(self, _):
        rest = self.client.read_to_reset()
        assert rest == b"", f"the client heard {rest!r} before the reset"

    def _server_hears_reset(self, _):
        rest = self.server.read_to_reset()
        assert rest == b"", f"the server heard {rest!r} before the reset"

    def _client_is_cut_off(self, _):
        rest = self.client.read_rest()
        assert rest == b"", f"the client heard {rest!r}"

    def finish(self):
        """End what the talk has not ended, and see that nobody says anything more."""
        with contextlib.suppress(OSError):
            self.client.shut()
        if self.server.fileno() >= 0:
            rest = self.server.read_rest()
            assert rest == b"", f"{self.variant!r}: the server heard {rest!r} after all"
            self.server.close()
        if self.client.fileno() >= 0:
            rest = self.client.read_rest()
            assert rest == b"", f"{self.variant!r}: the client heard {rest!r} after all"

    def close(self):
        self.client.close()
        self.server.close()


ENDS_EARLY = {"refused", "client_hears_reset", "client_hears_end", "server_hears_reset",
              "client_is_cut_off"}


WAITS_FOR = {"server_hears_nothing": "client", "client_hears_nothing": "server"}


def _say(performances, number, pause):
    side = SAYS[performances[0].talk.steps[number].verb]
    pieces = [p.pieces(number) for p in performances]
    watch, watched = None, None
    for turn in range(max(map(len, pieces))):
        paused = []
        for performance, mine in zip(performances, pieces):
            if turn < len(mine):
                performance.say(number, mine[turn])
            if turn + 1 < len(mine):
                paused.append(getattr(performance, side))
        if paused and pause:
            if paused != watched:
                watch, watched = Watch(paused), paused
            watch.wait_read()


def _hear(performances, number, pause):
    side = WAITS_FOR.get(performances[0].talk.steps[number].verb)
    if side and pause:
        wait_read([getattr(p, side) for p in performances])
    for performance in performances:
        performance.hear(number)


def _connect(workload, server, count):
    """COUNT connections, each with its end at the server."""
    for sock in workload.sockets(count, server.sock.family):
        sock.settimeout(PATIENCE)
        sock.connect(server.address)
        yield End(sock, "client"), server.accept()


def perform(talk, workload, server, variants):
    """Perform TALK once for each of VARIANTS. Returns the bytes that sluice itself said."""
    heard = set()
    for start in range(0, len(variants), AT_ONCE):
        batch = variants[start:start + AT_ONCE]
        with contextlib.ExitStack() as stack:
            performances = []
            for variant, pair in zip(batch, _connect(workload, server, len(batch))):
                performances.append(Performance(talk, variant, *pair))
                stack.callback(performances[-1].close)
            for number, step in enumerate(talk.steps):
                if step.verb in SAYS:
                    _say(performances, number, pause=not workload.direct)
                else:
                    _hear(performances, number, pause=not workload.direct)
            for performance in performances:
                performance.finish()
        heard |= {p.heard for p in performances}
        server.ends.clear()
    return heard


def perform_all(talk, workload, server, stride=1):
    """Uncut, cut at every place (or at every STRIDE-th), in random pieces, and byte by byte if it
    is short. How the bytes were cut must make no difference to what sluice itself says. Returns
    how many connections that took."""
    heard = perform(talk, workload, server, [Whole()])
    variants = talk.cuts(stride) + [RandomPieces(seed) for seed in range(10)]
    heard |= perform(talk, workload, server, variants)
    count = 1 + len(variants)
    if stride == 1:
        heard |= perform(talk, workload, server, [ByteByByte()])
        count += 1
    assert len(heard) == 1, f"the answers differ: {heard}"
    return count
