# SPDX-License-Identifier: Apache-2.0
"""What the kernel knows of TCP sockets: has the other side of a connection read everything yet?

The other side may be another process (sluice), so this asks NETLINK_SOCK_DIAG. With it a scene cuts
its bytes at a place of its choice and knows that the reader got the first part by itself.
"""
import errno
import os
import socket
import struct
import time

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
# Established, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT: a socket in TIME_WAIT has nobody who reads.
STATES = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8
MAPPED = b"\0" * 10 + b"\xff\xff"


class TcpSocket:
    """One line of what `ss` would show."""

    __slots__ = ("inode", "local", "remote", "unread", "unsent")

    def __init__(self, message):
        source_port, port = struct.unpack_from("!HH", message, 4)
        self.local = (_address(message[0], message[8:24]), source_port)
        self.remote = (_address(message[0], message[24:40]), port)
        self.unread, self.unsent, _, self.inode = struct.unpack_from("=IIII", message, 56)


def _address(family, raw):
    if family == socket.AF_INET:
        return raw[:4]
    return raw[12:] if raw[:12] == MAPPED else raw


def tcp_sockets():
    """Every live TCP connection of this network namespace."""
    found = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as netlink:
        for family in socket.AF_INET, socket.AF_INET6:
            body = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, STATES) + b"\0" * 48
            header = struct.pack("=IHHII", 16 + len(body), SOCK_DIAG_BY_FAMILY,
                                 NLM_F_REQUEST_DUMP, 1, 0)
            netlink.send(header + body)
            while not _read_dump(netlink.recv(1 << 18), found):
                pass
    return found


def _read_dump(data, found):
    at = 0
    while at < len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind == NLMSG_DONE:
            return True
        if kind == NLMSG_ERROR:
            code = -struct.unpack_from("=i", data, at + 16)[0]
            raise OSError(code, "sock_diag: " + errno.errorcode.get(code, str(code)))
        found.append(TcpSocket(data[at + 16:at + length]))
        at += (length + 3) & ~3
    return False


def wait_read(sockets, patience=0.03):
    """Wait until whoever is at the other end of each of SOCKETS has read all that was sent to it,
    or reads no more: it may hold back what it is not ready for.

    The ends are found by inode, since an application that sluice steers is told other addresses
    than those on the wire."""
    inodes = {os.fstat(s.fileno()).st_ino for s in sockets}
    last, since = None, time.monotonic()
    pause = 0.0002
    while True:
        everyone = tcp_sockets()
        mine = [s for s in everyone if s.inode in inodes]
        peers = {(s.remote, s.local) for s in mine}
        state = (sum(s.unsent for s in mine),
                 sum(s.unread for s in everyone if (s.local, s.remote) in peers))
        if state == (0, 0):
            return
        now = time.monotonic()
        if state != last:
            last, since = state, now
        elif now - since > patience:
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.005)
