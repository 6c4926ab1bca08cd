# SPDX-License-Identifier: Apache-2.0
"""First packets of handshakes that nobody goes on with: syns.py ADDRESS PORT COUNT SOURCE...

Each comes from another port, of the SOURCEs in turn, which should be addresses of nobody, so that
no answer ends what it has begun."""
import socket
import struct
import sys

SYN = 2


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def segment(source, target, port, to):
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!HHIIBBHHH", port, to, port, 0, 5 << 4, SYN, 65535, 0, 0)
    tcp = head[:16] + struct.pack("!H", checksum(
        ends + struct.pack("!HH", socket.IPPROTO_TCP, len(head)) + head)) + head[18:]
    # The kernel completes what is 0.
    return struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_TCP, 0) + ends + tcp


def main(target, port, count, *sources):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        for number in range(int(count)):
            source = sources[number % len(sources)]
            sock.sendto(segment(source, target, 1024 + number // len(sources), int(port)),
                        (target, 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
