# SPDX-License-Identifier: Apache-2.0
"""A gRPC service of doors, and an ordinary client of it.

doors.py serve       prints its port, then each method that is called, until its input ends
doors.py call PORT   makes calls on one channel, and prints what came of each"""
import concurrent.futures
import sys

import grpc

CALLS = "GetStatus", "OpenDoor", "GetStatus"


def identity(message):
    return message


class Doors(grpc.GenericRpcHandler):
    def service(self, details):
        print(details.method, flush=True)
        return grpc.unary_unary_rpc_method_handler(lambda message, context: message)


def serve():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), handlers=[Doors()])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(0).wait()


def call(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in CALLS:
            path = f"/doors.Manager/{name}"
            try:
                channel.unary_unary(path, identity, identity)(b"front door", timeout=10)
                print(path, "OK")
            except grpc.RpcError as error:
                print(path, error.code().name)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        call(int(sys.argv[2]))
