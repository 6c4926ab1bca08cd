# SPDX-License-Identifier: Apache-2.0
"""The gRPC service of doors on four implementations of gRPC (tests/e2e/peers/doors).

What has to be compiled or fetched for them is kept in build/peers."""
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess

from procfs import PATIENCE

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
SOURCES = os.path.join(ROOT, "tests", "e2e", "peers", "doors")
KEPT = os.path.join(ROOT, "build", "peers")
GOPATH = "/usr/share/gocode"
GRPC_JS = "@grpc/grpc-js@1.14.0"


class Missing(Exception):
    """What is not on this machine."""


def source(name):
    return os.path.join(SOURCES, name)


def keep(name, sources, make):
    """The path of what MAKE(path) makes of SOURCES, in this run or in one before it."""
    digest = hashlib.sha256()
    for path in (__file__, *sources):
        with open(path, "rb") as file:
            digest.update(file.read())
    os.makedirs(KEPT, exist_ok=True)
    path = os.path.join(KEPT, f"{name}-{digest.hexdigest()[:12]}")
    with open(os.path.join(KEPT, name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            for old in glob.glob(os.path.join(KEPT, name + "-*")):
                shutil.rmtree(old) if os.path.isdir(old) else os.unlink(old)
            make(path + "-new")
            os.rename(path + "-new", path)
    return path


def python():
    return ["/usr/bin/python3", source("doors.py")]


def cpp():
    compiler = shutil.which("g++")
    if not compiler:
        raise Missing("g++")
    if not os.path.exists("/usr/include/grpcpp/grpcpp.h"):
        raise Missing("libgrpc++")
    # Not optimized, since compiling takes longer than all calls.
    sources = [source("client.cc"), source("server.hh")]
    return [keep("doors-cpp", sources, lambda path: subprocess.run(
        [compiler, "-std=c++17", "-O0", "-o", path, sources[0],
         "-lgrpc++", "-lgrpc", "-lgpr", "-labsl_synchronization"], check=True))]


def go_compiler():
    """Debian's, if it is there: its libraries are of that age. None: there is no go."""
    return shutil.which("go", path="/usr/bin") or shutil.which("go")


def go_environment(**more):
    """Without modules, and without a network. What go compiles is kept: it takes long. With cgo,
    for which Debian's go has its standard library compiled."""
    return {**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off", "GOPROXY": "off",
            "GOTOOLCHAIN": "local", "CGO_ENABLED": "1",
            "GOCACHE": os.path.join(ROOT, "build", "go-cache"), **more}


def go():
    compiler = go_compiler()
    if not compiler:
        raise Missing("go")
    if not os.path.isdir(os.path.join(GOPATH, "src", "google.golang.org", "grpc")):
        raise Missing("grpc-go")
    sources = [source("client.go"), source("server.go")]
    return [keep("doors-go", sources, lambda path: subprocess.run(
        [compiler, "build", "-o", path, *sources], check=True, env=go_environment(GOPATH=GOPATH)))]


def node():
    """The library comes from npm's registry, where there is one."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if not program:
        raise Missing("node")

    def fetch(path):
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        shutil.copy(source("doors.mjs"), path)
        fetched = npm and subprocess.run(
            [npm, "install", "--prefix", path, "--cache", os.path.join(KEPT, "npm-cache"),
             "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1",
             "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000", GRPC_JS], stdout=subprocess.DEVNULL, timeout=300)
        if not fetched or fetched.returncode != 0:
            shutil.rmtree(path)
            raise Missing("@grpc/grpc-js")
    # Beside the library, as imports are looked for there.
    return [program, os.path.join(keep("doors-node", [source("doors.mjs")], fetch), "doors.mjs")]


PEERS = {"c++": cpp, "go": go, "node": node, "python": python}


class Doors:
    """A server. "deny": it refuses by itself what the policy of a scene denies; "age": it asks to
    leave a connection that is half a second old."""

    def __init__(self, name, *how):
        self.command = [*PEERS[name](), "serve", *how]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
