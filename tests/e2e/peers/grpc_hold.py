# SPDX-License-Identifier: Apache-2.0
"""grpc_hold.py PORT DOOR...: a Talk with each door of grpc_doors.py, all on one channel. Prints "open"
when all have answered, and when a line comes in, what each of them answers then."""
import queue
import sys

import grpc


def hold(port, *doors):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        talks = {}
        for door in doors:
            words = queue.SimpleQueue()
            words.put(b"before")
            talk = channel.stream_stream("/doors.Manager/Talk")(iter(words.get, None),
                                                                metadata=(("door", door),))
            assert next(talk) == b"before"
            talks[door] = words, talk
        print("open", flush=True)
        sys.stdin.readline()
        for door, (words, talk) in talks.items():
            try:
                words.put(b"after")
                print(door, next(talk).decode())
            except grpc.RpcError as error:
                print(door, error.code().name)
            words.put(None)


hold(*sys.argv[1:])
