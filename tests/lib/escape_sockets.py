# SPDX-License-Identifier: Apache-2.0
"""Attempts with sockets: every kind and every way to name a destination."""
import ctypes
import mmap
import os
import platform
import socket
import struct

from escape import (CLONE_NEWNET, SECRET, attempt, become_root_of_a_user_namespace, check, deliver,
                    in_child, libc, syscall, unshare)

MSG_FASTOPEN = 0x20000000
TCP_FASTOPEN_CONNECT = 30
IP_TRANSPARENT, IP_FREEBIND, IPV6_V6ONLY = 19, 15, 26
ETH_P_IP = 0x0800
GET_DENIED = b"GET /no HTTP/1.1\r\nHost: h\r\n\r\n"
HIGH_BIT = 1 << 32


@attempt
def multipath(report, facts):
    for protocol in 262, 256:  # MPTCP, SMC
        sock = report.tried(f"socket {protocol}", socket.socket, socket.AF_INET,
                            socket.SOCK_STREAM, protocol)
        if sock:
            deliver(report, facts, f"by protocol {protocol}", sock)


@attempt
def sctp(report, facts):
    for kind in socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM:
        for protocol in 132, 33, 136:  # SCTP, DCCP, UDP-Lite
            sock = report.tried(f"socket {kind} {protocol}", socket.socket, socket.AF_INET, kind,
                                protocol)
            if sock:
                deliver(report, facts, f"by {kind} {protocol}", sock)


def _datagram(facts):
    udp = struct.pack("!HHHH", 4711, facts["udp"], 8 + len(SECRET), 0) + SECRET
    loopback = socket.inet_aton("127.0.0.1")
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, loopback, loopback)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xffff) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~total & 0xffff) + head[12:]
    return head + udp


@attempt
def raw(report, facts):
    for protocol in socket.IPPROTO_RAW, socket.IPPROTO_UDP, socket.IPPROTO_ICMP:
        sock = report.tried(f"raw socket {protocol}", socket.socket, socket.AF_INET,
                            socket.SOCK_RAW, protocol)
        if not sock:
            continue
        with sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
            report.tried("raw send", sock.sendto, _datagram(facts), ("127.0.0.1", 0))


@attempt
def packet(report, facts):
    """A frame made by hand, on the loopback device."""
    for kind in socket.SOCK_RAW, socket.SOCK_DGRAM:
        sock = report.tried(f"packet socket {kind}", socket.socket, socket.AF_PACKET, kind, 0)
        if not sock:
            continue
        with sock:
            frame = _datagram(facts)
            if kind == socket.SOCK_RAW:
                frame = bytes(12) + struct.pack("!H", ETH_P_IP) + frame
            report.tried("packet send", sock.sendto, frame,
                         ("lo", ETH_P_IP, 0, 0, bytes(6)))


@attempt
def families(report, facts):
    """Every family, also with a bit set that the kernel does not look at. Reports which pass."""
    for call in "socket", "socketpair":
        for family in range(64):
            for kind in 1, 2, 3, 4, 5:
                for extra in 0, HIGH_BIT:
                    pair = ctypes.create_string_buffer(8)
                    try:
                        fd = syscall(call, family | extra, kind, 0, pair)
                    except OSError:
                        continue
                    report[f"{call} {family}"] = "ok"
                    for number in struct.unpack("=ii", pair) if call == "socketpair" else [fd]:
                        os.close(number)


def _int80():
    """A function that makes a system call of the 32-bit table."""
    code = bytes.fromhex("53 89f8 89f3 87d1 cd80 5b c3")
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 4)(address)
    function.memory = memory

    def call(*arguments):
        result = function(*arguments)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result
    return call


@attempt
def other_tables(report, facts):
    """The system calls of 32-bit programs, from a 64-bit one."""
    if platform.machine() != "x86_64":
        return
    int80 = _int80()
    libc.mmap.restype = ctypes.c_void_p
    low = libc.mmap(None, 4096, 3, 0x40 | 0x22, -1, 0)  # MAP_32BIT, anonymous and private
    for name, family, kind in (("vsock", 40, 1), ("packet", 17, 3), ("inet", 2, 1)):
        report.tried(f"int80 socket {name}", int80, 359, family, kind, 0)
        ctypes.memmove(low, struct.pack("=III", family, kind, 0), 12)
        report.tried(f"int80 socketcall {name}", int80, 102, 1, low, 0)
    report.tried("int80 io_uring_setup", int80, 425, 1, 0, 0)
    for nr, name in ((41, "socket"), (425, "io_uring_setup")):
        report.tried(f"x32 {name}", lambda nr=nr: check(libc.syscall(
            ctypes.c_long(0x40000000 | nr), *(ctypes.c_long(n) for n in (40, 1, 0)))))


@attempt
def rings(report, facts):
    """io_uring makes sockets without socket()."""
    parameters = ctypes.create_string_buffer(120)
    report.tried("io_uring_setup", syscall, "io_uring_setup", 8, parameters)
    report.tried("io_uring_enter", syscall, "io_uring_enter", 0, 0, 0, 0, 0, 0)
    report.tried("io_uring_register", syscall, "io_uring_register", 0, 0, 0, 0)


@attempt
def fast_open(report, facts):
    """Data in the very first packet."""
    where = "127.0.0.1", facts["tcp"]
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1")):
        with socket.socket(family) as sock:
            report.tried(f"fast open {address}", sock.sendto, SECRET, MSG_FASTOPEN,
                         (address, facts["tcp"]))
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        report.tried("fast open connect", sock.connect, where)
        report.tried("fast open write", sock.send, SECRET)


@attempt
def names(report, facts):
    """The same destination by every name, by TCP and by UDP."""
    for address in ("127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::", "::1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as sock:
            if report.tried(f"TCP {address}", sock.connect, (address, facts["tcp"])):
                sock.send(SECRET)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            report.tried(f"UDP {address}", sock.sendto, SECRET, (address, facts["udp"]))
            report.tried(f"UDP {address} connect", sock.connect, (address, facts["udp"]))
            report.tried(f"UDP {address} send", sock.send, SECRET)


@attempt
def sources(report, facts):
    """A source address, device or port of one's own."""
    def bound(kind):
        sock = socket.socket(type=kind)
        sock.bind(("127.0.0.9", 0))
        return sock

    def to_device(kind):
        sock = socket.socket(type=kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        return sock

    def transparent(kind):
        sock = socket.socket(type=kind)
        sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        report.tried("transparent", sock.setsockopt, socket.IPPROTO_IP, IP_TRANSPARENT, 1)
        report.tried("bind to a foreign address", sock.bind, ("192.0.2.1", 0))
        return sock

    def marked(kind):
        sock = socket.socket(type=kind)
        report.tried("mark", sock.setsockopt, socket.SOL_SOCKET, socket.SO_MARK, 7)
        return sock

    for make in bound, to_device, transparent, marked:
        with make(socket.SOCK_STREAM) as sock:
            report.tried(f"{make.__name__} TCP", sock.connect, ("127.0.0.1", facts["tcp"]))
            report.tried(f"{make.__name__} TCP send", sock.send, SECRET)
        with make(socket.SOCK_DGRAM) as sock:
            report.tried(f"{make.__name__} UDP", sock.sendto, SECRET, ("127.0.0.1", facts["udp"]))
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        info = struct.pack("=i4s4s", 1, socket.inet_aton("127.0.0.9"), bytes(4))
        report.tried("packet info", sock.sendmsg, [SECRET],
                     [(socket.IPPROTO_IP, 8, info)], 0, ("127.0.0.1", facts["udp"]))


@attempt
def quic(report, facts):
    """Datagrams that begin as QUIC does, to a forbidden port and to the one with HTTP rules."""
    initial = b"\xc3\x00\x00\x00\x01\x08" + bytes(8) + b"\x00\x00\x44\x9e" + SECRET + bytes(1180)
    for port in facts["udp"], facts["http"]:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            report.tried(f"QUIC to {port}", sock.sendto, initial, ("127.0.0.1", port))


@attempt
def own_network(report, facts):
    """A network namespace of one's own: the socket stays in the cgroup, and the way back in is
    closed."""
    def inside(mine):
        become_root_of_a_user_namespace()
        unshare(CLONE_NEWNET)
        deliver(mine, facts, "from a namespace")
        raw(mine, facts)
        packet(mine, facts)
        with open(f"/proc/{facts['sluice']}/ns/net") as outside:
            check(libc.setns(outside.fileno(), CLONE_NEWNET))
        deliver(mine, facts, "back")

    in_child(report, "back to the namespace of others", inside)


@attempt
def listener(report, facts):
    """To sluice's own listener, as nobody who was steered."""
    for port in facts["listeners"]:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as sock:
                sock.settimeout(5)
                report.tried(f"dial {address}", sock.connect, (address, port))
                report.tried(f"send to {address}", sock.send, GET_DENIED)


def _join(family, port):
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_V6ONLY, 1)
    sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
    sock.listen()
    return sock


@attempt
def join_listener(report, facts):
    """A share of sluice's port: connections that the kernel gives to the impostor are lost, not
    let through."""
    impostors = [report.tried(f"join {family.name} {port}", _join, family, port)
                 for port in facts["listeners"] for family in (socket.AF_INET, socket.AF_INET6)]
    for number in range(50):
        with socket.socket() as sock:
            sock.settimeout(5)
            report.tried(f"connect {number}", sock.connect, ("127.0.0.1", facts["http"]))
            report.tried(f"send {number}", sock.send, GET_DENIED)
    for impostor in filter(None, impostors):
        impostor.close()


@attempt
def source_port(report, facts):
    """A second connection with the source port of one that was steered."""
    with socket.socket() as first:
        first.connect(("127.0.0.1", facts["http"]))
        mine = first.getsockname()
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for port in facts["listeners"] + [facts["tcp"]]:
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            report.tried("bind", again.bind, mine)
            report.tried("connect", again.connect, ("127.0.0.1", port))
            report.tried("send", again.send, GET_DENIED)
