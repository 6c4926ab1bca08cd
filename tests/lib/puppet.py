# SPDX-License-Identifier: Apache-2.0
"""Sockets of a workload, in the hands of a scene.

A socket belongs for ever to the cgroup in which it was made. So a scene need not move its client
into a workload: this small program runs there, makes sockets on request, and passes them out.
Whatever is done with them then is held to the workload's policy.

As a program: puppet.py SOCKET. It ends when the scene closes its side.
"""
import os
import socket
import struct
import sys

ORDER = struct.Struct("=iiii")  # family, type, protocol, how many
ANSWER = struct.Struct("=ii")  # errno, how many follow as descriptors
EXIT = -1  # in place of a family: end with the exit code that stands in place of a type
AT_ONCE = 200  # the kernel passes at most 253 descriptors in one message


def _read(sock, length):
    data = b""
    while len(data) < length:
        chunk = sock.recv(length - len(data))
        if not chunk:
            return None
        data += chunk
    return data


def _make(control, family, kind, protocol, count):
    made = []
    try:
        for _ in range(count):
            made.append(socket.socket(family, kind, protocol))
    except OSError as error:
        control.sendall(ANSWER.pack(error.errno, 0))
    else:
        socket.send_fds(control, [ANSWER.pack(0, count)], [s.fileno() for s in made])
    for sock in made:
        sock.close()


def main(path):
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(path)
        while True:
            order = _read(control, ORDER.size)
            if order is None:
                return 0
            family, kind, protocol, count = ORDER.unpack(order)
            if family == EXIT:
                return kind
            _make(control, family, kind, protocol, count)


def ask(control, family, kind, protocol, count):
    """The scene's side: COUNT sockets from the puppet at the other end of CONTROL."""
    made = []
    while len(made) < count:
        batch = min(AT_ONCE, count - len(made))
        control.sendall(ORDER.pack(family, kind, protocol, batch))
        data, fds, _, _ = socket.recv_fds(control, ANSWER.size, AT_ONCE)
        if len(data) != ANSWER.size:
            raise EOFError("the puppet is gone")
        code, count_made = ANSWER.unpack(data)
        if code:
            for sock in made:
                sock.close()
            raise OSError(code, os.strerror(code))
        assert len(fds) == count_made == batch
        made += [socket.socket(fileno=fd) for fd in fds]
    return made


def ask_to_exit(control, code):
    control.sendall(ORDER.pack(EXIT, code, 0, 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
