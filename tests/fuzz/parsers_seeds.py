#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of tests/unit/parsers as Python values, and as seeds for the fuzzers.

    for name, data, reason in rows("h1_bad.inc"): ...
    parsers_seeds.py DIR    writes DIR/h1/*, DIR/path/*, DIR/detect/*
"""
import ast
import pathlib
import re
import sys

TABLES = pathlib.Path(__file__).resolve().parent.parent / "unit" / "parsers"
STRING = r'"(?:[^"\\]|\\.)*"'


def rows(table):
    """The arguments of each macro call in TABLE: bytes for strings, text for everything else."""
    macros, found = {}, []
    for line in (TABLES / table).read_text().splitlines():
        define = re.fullmatch(r"#define (\w+) (" + STRING + ")", line)
        if define:
            macros[define[1]] = text(define[2])
        call = re.fullmatch(r"(\w+)\((.*)\)", line)
        if call:
            found.append((call[1],) + tuple(arguments(call[2], macros)))
    return found


def text(literal):
    return ast.literal_eval("b" + literal)


def arguments(source, macros):
    """Split at commas outside of strings; adjacent strings are one."""
    value = None
    for token in re.findall(STRING + r"|\w+|,", source):
        if token == ",":
            yield value
            value = None
        elif token.startswith('"'):
            value = (value or b"") + text(token)
        elif token in macros:
            value = (value or b"") + macros[token]
        else:
            value = token
    yield value


def write(folder, seeds):
    folder.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seeds):
        (folder / f"{i:04}").write_bytes(seed)


def main(out):
    requests = [row[3] for row in rows("h1_good.inc")] + [row[2] for row in rows("h1_bad.inc")]
    responses = [row[3] for row in rows("h1_good_response.inc")]
    responses += [row[2] for row in rows("h1_bad_response.inc")]
    write(out / "h1", [b"\0\x80" + r for r in requests] + [b"\1\x80" + r for r in responses])
    write(out / "path", [bytes([0, 4, 6, 5, 8, 0, 4]) + row[1] for row in rows("path_cases.inc")])
    write(out / "detect", requests + [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\0\xa5\x01"])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
