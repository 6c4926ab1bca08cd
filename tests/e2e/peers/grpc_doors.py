# SPDX-License-Identifier: Apache-2.0
"""A gRPC service of doors, as server and as client, without generated code: messages are bytes.

grpc_doors.py serve          prints its port, serves until its standard input ends
grpc_doors.py call PORT ...  makes calls, prints one JSON object"""
import concurrent.futures
import json
import sys
import threading
import time

import grpc

SERVICE = "doors.Manager"


def identity(message):
    return message


class Doors(grpc.GenericRpcHandler):
    """Get: unary. Watch: server streaming. Count: client streaming. Talk: bidirectional."""

    def service(self, details):
        name = details.method.rpartition("/")[2]
        return {
            "Get": grpc.unary_unary_rpc_method_handler(self.get),
            "Open": grpc.unary_unary_rpc_method_handler(self.get),
            "Slow": grpc.unary_unary_rpc_method_handler(self.slow),
            "Watch": grpc.unary_stream_rpc_method_handler(self.watch),
            "Count": grpc.stream_unary_rpc_method_handler(self.count),
            "Talk": grpc.stream_stream_rpc_method_handler(self.talk),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
        }.get(name)

    def get(self, message, context):
        metadata = dict(context.invocation_metadata())
        context.send_initial_metadata([("echo", metadata.get("door", "none")),
                                       ("echo-bin", metadata.get("door-bin", b""))])
        context.set_trailing_metadata([("left", "yes")])
        return message

    def slow(self, message, context):
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(20)
        return message

    def watch(self, message, context):
        for number in range(int(message)):
            yield b"%d" % number

    def count(self, messages, context):
        return b"%d" % sum(len(message) for message in messages)

    def talk(self, messages, context):
        yield from messages

    def fail(self, message, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such door: \u00e9")


def serve():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), handlers=[Doors()],
                         options=[("grpc.max_receive_message_length", -1),
                                  ("grpc.max_send_message_length", -1)])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(0).wait()


class Client:
    def __init__(self, channel):
        self.channel, self.results = channel, {}

    def method(self, kind, name):
        return getattr(self.channel, kind)(f"/{SERVICE}/{name}", identity, identity)

    def attempt(self, name, call):
        try:
            self.results[name] = call()
        except grpc.RpcError as error:
            self.results[name] = f"{error.code().name}: {error.details()}"

    def unary(self):
        response, call = self.method("unary_unary", "Get").with_call(
            b"front", metadata=[("door", "front"), ("door-bin", b"\0\xff")], timeout=20)
        first = dict(call.initial_metadata())
        return [response.decode(), first["echo"], first["echo-bin"].hex(),
                dict(call.trailing_metadata())["left"]]

    def large(self, size):
        message = b"x" * size
        return self.method("unary_unary", "Get")(message, timeout=60) == message

    def deadline(self):
        self.method("unary_unary", "Slow")(b"", timeout=0.2)

    def cancel(self):
        call = self.method("unary_unary", "Slow").future(b"", timeout=20)
        time.sleep(0.05)
        call.cancel()
        return call.code().name

    def many(self, count, name):
        call = self.method("unary_unary", name)
        futures = [call.future(b"%d" % n, timeout=60) for n in range(count)]
        return [sum(f.code() == code for f in futures)
                for code in (grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED)]

    def mixed(self, count):
        """Allowed and denied calls at once, on one channel."""
        calls = [self.method("unary_unary", name) for name in ("Get", "Open")]
        metadata = [[("growing", f"{n % 70}" * 20)] for n in range(count)]
        futures = [calls[n % 2].future(b"%d" % n, metadata=metadata[n], timeout=60)
                   for n in range(count)]
        good = sum(f.code() == grpc.StatusCode.OK and f.result() == b"%d" % n
                   for n, f in enumerate(futures) if n % 2 == 0)
        denied = sum(f.code() == grpc.StatusCode.PERMISSION_DENIED for f in futures[1::2])
        return [good, denied]


def call(port, size, count):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        c = Client(channel)
        c.attempt("unary", c.unary)
        c.attempt("watch", lambda: [m.decode() for m in c.method("unary_stream", "Watch")(b"3")])
        c.attempt("count",
                  lambda: c.method("stream_unary", "Count")(iter([b"a" * 70000] * 5)).decode())
        c.attempt("talk", lambda: [m.decode() for m in
                                   c.method("stream_stream", "Talk")(iter([b"a", b"b"]))])
        c.attempt("denied", lambda: c.method("unary_unary", "Open")(b"vault", timeout=20))
        c.attempt("denied stream",
                  lambda: list(c.method("stream_stream", "Open")(iter([b"a" * 70000] * 5))))
        c.attempt("fail", lambda: c.method("unary_unary", "Fail")(b"", timeout=20))
        c.attempt("deadline", c.deadline)
        c.attempt("cancel", c.cancel)
        c.attempt("large", lambda: c.large(size))
        c.attempt("mixed", lambda: c.mixed(count))
        c.attempt("again", c.unary)
        print(json.dumps(c.results, default=bytes.decode))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        call(*map(int, sys.argv[2:5]))
