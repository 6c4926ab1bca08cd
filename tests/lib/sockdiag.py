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
NLM_F_REQUEST, NLM_F_REQUEST_DUMP = 1, 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
# Established, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT: a socket in TIME_WAIT has nobody who reads.
STATES = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8
FEW = 40  # up to so many connections are asked for one by one
MAPPED = b"\0" * 10 + b"\xff\xff"


class TcpSocket:
    """One line of what `ss` would show. Addresses are (family, bytes, port)."""

    __slots__ = ("inode", "local", "remote", "unread")

    def __init__(self, message):
        source_port, port = struct.unpack_from("!HH", message, 4)
        self.local = (*_address(message[0], message[8:24]), source_port)
        self.remote = (*_address(message[0], message[24:40]), port)
        self.unread, _, _, self.inode = struct.unpack_from("=IIII", message, 56)


def _address(family, raw):
    if family == socket.AF_INET:
        return family, raw[:4]
    return (socket.AF_INET, raw[12:]) if raw[:12] == MAPPED else (family, raw)


def _ask(netlink, family, flags, identity):
    """Send one question; the answer is a list of TcpSocket, None if there is no such socket."""
    body = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, STATES) + identity
    netlink.send(struct.pack("=IHHII", 16 + len(body), SOCK_DIAG_BY_FAMILY, flags, 1, 0) + body)
    found = []
    while True:
        data, at = netlink.recv(1 << 18), 0
        while at < len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind == NLMSG_DONE:
                return found
            if kind == NLMSG_ERROR:
                code = -struct.unpack_from("=i", data, at + 16)[0]
                if code == errno.ENOENT:
                    return None
                raise OSError(code, "sock_diag: " + errno.errorcode.get(code, str(code)))
            found.append(TcpSocket(data[at + 16:at + length]))
            at += (length + 3) & ~3
        if flags == NLM_F_REQUEST:
            return found


def _open():
    return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG)


def tcp_sockets():
    """Every live TCP connection of this network namespace. Takes milliseconds."""
    with _open() as netlink:
        return [found for family in (socket.AF_INET, socket.AF_INET6)
                for found in _ask(netlink, family, NLM_F_REQUEST_DUMP, bytes(48))]


def _find(netlink, local, remote):
    """The connection between two addresses, seen from LOCAL. Takes microseconds."""
    identity = struct.pack("!HH16s16s", local[2], remote[2], local[1], remote[1])
    found = _ask(netlink, local[0], NLM_F_REQUEST, identity + bytes(4) + b"\xff" * 8)
    return found[0] if found else None


class Watch:
    """Tells how much of what was said on some connections has not been read at the other end.

    The ends are found by inode, since an application that sluice steers is told other addresses
    than those on the wire."""

    def __init__(self, sockets):
        inodes = {os.fstat(s.fileno()).st_ino for s in sockets}
        self.wires = [(s.local, s.remote) for s in tcp_sockets() if s.inode in inodes]

    def unread(self):
        """Bytes that have arrived at the other ends and wait there. On loopback what is sent has
        arrived; that it is acknowledged may take longer and means nothing here."""
        if len(self.wires) > FEW:
            table = {(s.local, s.remote): s for s in tcp_sockets()}
            peers = [table.get(wire[::-1]) for wire in self.wires]
        else:
            with _open() as netlink:
                peers = [_find(netlink, *wire[::-1]) for wire in self.wires]
        return sum(peer.unread for peer in peers if peer)

    def wait_read(self, patience=0.02):
        """Wait until all has been read, or until the others read no more: they may hold back what
        they are not ready for."""
        last, since, pause = None, time.monotonic(), 0.0001
        while count := self.unread():
            now = time.monotonic()
            if count != last:
                last, since = count, now
            elif now - since > patience:
                return
            time.sleep(pause)
            pause = min(pause * 2, 0.005)


def wait_read(sockets):
    Watch(sockets).wait_read()
