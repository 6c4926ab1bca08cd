# SPDX-License-Identifier: Apache-2.0
"""A gRPC service of doors, as server and as client, without generated code: messages are bytes.
Its brothers in other languages do the same, with the same command line:

doors.py serve [deny] [age]     prints its port, serves until its standard input ends.
                                deny: it refuses Open itself, in sluice's words;
                                age: it asks to leave a connection that is half a second old
doors.py call PORT NAME[=N]...  does these things on one channel, and prints one JSON object:
                                what came of each, as a string"""
import asyncio
import json
import sys
import time

import grpc

SERVICE = "doors.Manager"
ODD = [b"\0\xff", b"a", b"ab", bytes(range(256))]
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
           ("grpc.keepalive_time_ms", 10000), ("grpc.keepalive_timeout_ms", 20000),
           ("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.max_pings_without_data", 0),
           ("grpc.http2.min_ping_interval_without_data_ms", 5000)]


def identity(message):
    return message


class Doors(grpc.GenericRpcHandler):
    def __init__(self, deny):
        self.deny, self.gone = deny, 0

    def service(self, details):
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        return {
            "Get": lambda: unary(self.get),
            "Watch": lambda: grpc.unary_stream_rpc_method_handler(self.watch),
            "Count": lambda: grpc.stream_unary_rpc_method_handler(self.count),
            "Talk": lambda: stream(self.talk),
            "Open": lambda: stream(self.refuse if self.deny else self.talk),
            "Fail": lambda: unary(self.fail),
            "Left": lambda: unary(self.left),
            "Slow": lambda: unary(self.slow),
            "Hold": lambda: stream(self.hold),
            "Gone": lambda: unary(self.wait_for_gone),
            "Pack": lambda: unary(self.pack),
        }.get(details.method.rpartition("/")[2], lambda: None)()

    async def get(self, message, context):
        metadata = context.invocation_metadata()
        await context.send_initial_metadata(
            [("echo" + key[4:], value) for key, value in metadata if key in ("door", "door-bin")])
        context.set_trailing_metadata([("left", "yes"), ("left-bin", b"\0\1\2")])
        return message

    async def watch(self, message, context):
        for number in range(int(message)):
            yield b"%d" % number

    async def count(self, messages, context):
        return b"%d" % sum([len(message) async for message in messages])

    async def talk(self, messages, context):
        async for message in messages:
            yield message

    async def refuse(self, messages, context):
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "Access denied")
        yield b""

    async def fail(self, message, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such door: \u00e9, 100%",
                            (("why-bin", b"\0\xff"),))

    async def left(self, message, context):
        return b"yes" if 5 < (context.time_remaining() or 0) <= 30 else b"no"

    async def slow(self, message, context):
        await asyncio.sleep(20)
        return message

    async def hold(self, messages, context):
        try:
            yield b"held"
            await asyncio.sleep(60)
        finally:
            self.gone += 1

    async def wait_for_gone(self, message, context):
        """How many streams of Hold have ended, once that are as many as the caller wants."""
        while self.gone < int(message):
            await asyncio.sleep(0.01)
        return b"%d" % self.gone

    async def pack(self, message, context):
        context.set_compression(grpc.Compression.Gzip)
        await context.send_initial_metadata([])     # without it nothing is compressed
        return message


async def serve(deny, age):
    server = grpc.aio.server(handlers=[Doors(deny)], options=OPTIONS + [
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
        *([("grpc.max_connection_age_ms", 500)] if age else [])])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def code_of(error):
    return error.code().value[0]


class Client:
    """Each public method is something that can be asked for."""

    def __init__(self, channel):
        self.channel = channel

    def method(self, kind, name):
        return getattr(self.channel, kind)(f"/{SERVICE}/{name}", identity, identity)

    def stream(self, name, **how):
        return self.method("stream_stream", name)(**how)

    def call(self, name, message, **how):
        return self.method("unary_unary", name)(message, **{"timeout": 20, **how})

    async def echoes(self, stream, message):
        await stream.write(message)
        return await stream.read() == message

    async def end(self, stream):
        """Half-close, and read to the end. Returns the code."""
        await stream.done_writing()
        while await stream.read() is not grpc.aio.EOF:
            pass
        return (await stream.code()).value[0]

    async def unary(self, _):
        call = self.call("Get", b"front", metadata=[
            ("door", "front"), ("door", "second"), *(("door-bin", value) for value in ODD)])
        message, first = await call, await call.initial_metadata()
        last = await call.trailing_metadata()
        echo, echo_bin = (first.get_all(name) for name in ("echo", "echo-bin"))
        return " ".join([message.decode(), ", ".join(echo), ",".join(v.hex() for v in echo_bin),
                         last["left"], last["left-bin"].hex()])

    async def watch(self, count):
        call = self.method("unary_stream", "Watch")(b"%d" % count, timeout=60)
        return sum([int(message) == n async for n, message in aenumerate(call)])

    async def count(self, count):
        call = self.method("stream_unary", "Count")(timeout=60)
        for _ in range(count):
            await call.write(pattern(70000))
        await call.done_writing()
        return (await call).decode()

    async def talk(self, count):
        stream = self.stream("Talk", timeout=60)
        good = sum([await self.echoes(stream, b"word %d" % n) for n in range(count)])
        return f"{good} {await self.end(stream)}"

    async def denied(self, _):
        return (await self.call("Open", b"vault")).decode()

    async def denied_stream(self, _):
        stream = self.stream("Open", timeout=20)
        try:
            for _ in range(5):
                await stream.write(pattern(70000))
            await stream.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass                                # it has ended already
        async for message in stream:
            return f"a message of {len(message)} bytes"
        return f"{(await stream.code()).value[0]}: {await stream.details()}"

    async def fail(self, _):
        try:
            return await self.call("Fail", b"")
        except grpc.aio.AioRpcError as error:
            why = error.trailing_metadata()["why-bin"].hex()
            return f"{code_of(error)}: {error.details()} {why}"

    async def unknown(self, _):
        try:
            return await self.call("Paint", b"")
        except grpc.aio.AioRpcError as error:
            return code_of(error)

    async def deadline(self, milliseconds):
        left = await self.call("Left", b"")
        try:
            return await self.call("Slow", b"", timeout=milliseconds / 1000)
        except grpc.aio.AioRpcError as error:
            return f"{left.decode()} {code_of(error)}"

    async def cancel(self, count):
        """Streams on which the server has said something, and a call that it may not even know."""
        streams = [self.stream("Hold", timeout=60) for _ in range(count)]
        held = [await stream.read() for stream in streams]
        for stream in streams:
            stream.cancel()
        codes = {(await stream.code()).value[0] for stream in streams}
        gone = await self.call("Gone", b"%d" % count)
        call = self.call("Slow", b"")
        await asyncio.sleep(0.02)
        call.cancel()
        codes.add((await call.code()).value[0])
        return f"{held.count(b'held')} {gone.decode()} {' '.join(map(str, sorted(codes)))}"

    async def large(self, size):
        message = pattern(size)
        return "same" if await self.call("Get", message, timeout=120) == message else "different"

    async def many(self, count):
        """Streams that are all open at once."""
        streams = [self.stream("Talk", timeout=120) for _ in range(count)]
        good = 0
        for word in (b"one", b"two"):
            for stream in streams:
                await stream.write(word)
            good += sum([await stream.read() == word for stream in streams])
        return f"{good} {sum([await self.end(stream) == 0 for stream in streams])}"

    async def mixed(self, count):
        """Allowed and denied calls at once, while five streams are open."""
        streams = [self.stream("Talk", timeout=60) for _ in range(5)]
        live = sum([await self.echoes(stream, b"before") for stream in streams])
        calls = [self.call("Open" if n % 2 else "Get", b"%d" % n, timeout=60,
                           metadata=[("growing", f"{n % 70}" * 20)]) for n in range(count)]
        live += sum([await self.echoes(stream, b"meanwhile") for stream in streams])
        codes = [(await call.code()).value[0] for call in calls]
        good = sum([codes[n] == 0 and await calls[n] == b"%d" % n for n in range(0, count, 2)])
        live += sum([await self.echoes(stream, b"after") for stream in streams])
        live += sum([await self.end(stream) == 0 for stream in streams])
        return f"{good} {codes[1::2].count(7)} {live}"

    async def gzip(self, size):
        message = pattern(size)
        reply = await self.call("Pack", message, compression=grpc.Compression.Gzip)
        return "same" if reply == message else "different"

    async def revoked(self, _):
        """Says on standard error when the policy may change; it has to take Hold away then."""
        talk, hold = self.stream("Talk", timeout=60), self.stream("Hold", timeout=60)
        good = await self.echoes(talk, b"before")
        await hold.read()
        print("holding", file=sys.stderr, flush=True)
        codes = [(await hold.code()).value[0], (await self.stream("Hold").code()).value[0]]
        gone = await self.call("Gone", b"1")
        good += await self.echoes(talk, b"after")
        return f"{codes[0]} {codes[1]} {gone.decode()} {good} {await self.end(talk)}"

    async def steady(self, milliseconds):
        """Calls without a pause, on whatever connections. Returns how many had a wrong end."""
        wrong, until = 0, time.monotonic() + milliseconds / 1000
        while time.monotonic() < until:
            calls = [self.call("Open" if n % 2 else "Get", b"steady") for n in range(6)]
            codes = [(await call.code()).value[0] for call in calls]
            wrong += sum(code != 7 * (n % 2) for n, code in enumerate(codes))
        return wrong

    async def idle(self, seconds):
        stream = self.stream("Talk", timeout=seconds + 60)
        good = await self.echoes(stream, b"before")
        await asyncio.sleep(seconds)
        good += await self.echoes(stream, b"after")
        return f"{good} {await self.end(stream)}"


async def aenumerate(messages):
    number = 0
    async for message in messages:
        yield number, message
        number += 1


async def call(port, asked):
    results = {}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        client = Client(channel)
        for name, _, number in (word.partition("=") for word in asked):
            began = time.monotonic()
            try:
                result = await getattr(client, name)(int(number or 0))
            except grpc.aio.AioRpcError as error:
                result = f"{code_of(error)}: {error.details()}"
            results[name] = str(result)
            print(f"{name} {time.monotonic() - began:.2f} s", file=sys.stderr)
    print(json.dumps(results))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve("deny" in sys.argv[2:], "age" in sys.argv[2:]))
    else:
        asyncio.run(call(sys.argv[2], sys.argv[3:]))
