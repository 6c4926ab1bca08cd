# SPDX-License-Identifier: Apache-2.0
"""A network namespace to which others have attached as many programs as there can be."""
import ctypes
import errno
import os
import struct

_CALL = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _LINK_CREATE = 5, 28
_SK_LOOKUP_PROGRAM, _SK_LOOKUP = 30, 36
# r0 = SK_PASS; exit
_CODE = struct.pack("<BBhi", 0xb7, 0, 0, 1) + struct.pack("<BBhi", 0x95, 0, 0, 0)
_LINKS_MAX = 256

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command, attributes):
    attributes = ctypes.create_string_buffer(attributes, len(attributes))
    fd = _libc.syscall(_CALL[os.uname().machine], command, attributes, len(attributes))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return fd


def _load():
    code, licence = ctypes.create_string_buffer(_CODE), ctypes.create_string_buffer(b"GPL")
    return _bpf(_PROG_LOAD, struct.pack(
        "=IIQQIIQII16sII", _SK_LOOKUP_PROGRAM, len(_CODE) // 8, ctypes.addressof(code),
        ctypes.addressof(licence), 0, 0, 0, 0, 0, b"pass_all", 0, _SK_LOOKUP))


class Crowded:
    """`with Crowded(net.path):` nobody else gets an sk_lookup program in."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.links = []
        netns, program = os.open(self.path, os.O_RDONLY), _load()
        try:
            while len(self.links) < _LINKS_MAX:
                self.links.append(_bpf(_LINK_CREATE,
                                       struct.pack("=IIII", program, netns, _SK_LOOKUP, 0)))
        except OSError as error:
            assert self.links and error.errno == errno.E2BIG, error
        finally:
            os.close(netns)
            os.close(program)
        assert len(self.links) < _LINKS_MAX
        return self

    def __exit__(self, *_):
        for link in self.links:
            os.close(link)
