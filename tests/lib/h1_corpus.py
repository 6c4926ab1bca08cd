# SPDX-License-Identifier: Apache-2.0
"""Streams of HTTP/1 requests, good and bad: the tables of the unit tests, and what chance makes of
them. The same ones for the same seed."""
import os
import random
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "fuzz"))
import parsers_seeds  # noqa: E402

GOOD = [row[3] for row in parsers_seeds.rows("h1_good.inc")]
BAD = [row[2] for row in parsers_seeds.rows("h1_bad.inc")]
ESCAPES = [row[1] for row in parsers_seeds.rows("path_cases.inc") if row[0] == "ESCAPE"]
ODD_PATHS = [row[1] for row in parsers_seeds.rows("path_cases.inc") if row[0] == "ODD"]

# Bytes and lines with which parsers disagree.
PIECES = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"%", b"/", b"..", b"\\", b"#", b"?",
    b"\x0b", b"\x80", b"\xff", b"0", b"1", b"-", b"_", b"0\r\n\r\n", b"\r\n\r\n", b"POST", b"HTTP/1.0",
    b"HTTP/1.1", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:\tidentity\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n", b"Host: b\r\n", b"Upgrade: websocket\r\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
]


def get(path):
    return b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path


def pipelines(chance, count):
    """Some good streams in a row."""
    return [b"".join(chance.sample(GOOD, chance.randint(2, 4))) for _ in range(count)]


def mutate(chance, data):
    """DATA with one to three changes."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 1, 2, 5, 20)))
        change = chance.randrange(6)
        if change == 0:
            data = data[:at] + chance.choice(PIECES) + data[at:]
        elif change == 1:
            data = data[:at] + chance.choice(PIECES) + data[end:]
        elif change == 2:
            data = data[:at] + data[end:]
        elif change == 3:
            data = data[:end] + data[at:]
        elif change == 4:
            data = data[:at] + bytes(b ^ 0x20 for b in data[at:end]) + data[end:]
        else:
            lines = data.split(b"\r\n")
            lines.insert(1, chance.choice(lines))
            data = b"\r\n".join(lines)
    return data


def mutations(chance, count):
    # Good ones more often: what is refused at once tells little.
    return [mutate(chance, chance.choice(GOOD if chance.random() < 0.8 else BAD))
            for _ in range(count)]


def streams(seed, count):
    """All of the tables, and COUNT of each kind that chance makes."""
    chance = random.Random(seed)
    paths = [get(path) for path in ESCAPES + ODD_PATHS]
    rows = [b"".join(chance.sample(paths, 5)) for _ in range(count)]
    return GOOD + BAD + paths + rows + pipelines(chance, count) + mutations(chance, 5 * count)
