# SPDX-License-Identifier: Apache-2.0
"""Real pods: a containerd of the scene's own, with its CRI and a bridge of both IP versions.

    with Pods(folder) as pods:
        web = pods.run("web", labels={"app": "web"})
        main = web.start("main", "sleep", "1000")
        main.exec("wget", "-O-", "http://10.201.1.2/")

Everything is below FOLDER and goes with it: sandboxes, cgroups, namespaces, mounts, the bridge, and
ip_forward is as it was. The image is busybox, from Debian's package."""
import contextlib
import glob
import json
import os
import signal
import socket
import subprocess
import time
import uuid

import grpc

import folders
import procfs
from image import make_image, make_root
from netns import NetworkNamespace
from node import Member, mount
from procfs import wait_until
from workload import Sockets, meet

BRIDGE = "slpod%d"
IMAGE = "localhost/sluice-pod:1"
FORWARDING = "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"
CONTAINER, NODE = 1, 2  # NamespaceMode: its own, the host's

CONFIG = """
version = 2
root = "{dir}/root"
state = "{dir}/state"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{dir}/sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{dir}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def _hierarchies():
    """Where cgroups are, of either version."""
    return glob.glob("/sys/fs/cgroup") + glob.glob("/sys/fs/cgroup/*")


# ---- messages, without their description: a list of (number, value) ----

def _varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def encode(fields):
    """A value is a number, a text, or a list of fields."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
            continue
        data = encode(value) if isinstance(value, list) else value.encode()
        out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return out


def decode(data):
    """[(number, int or bytes)]; there are no fixed-width fields in what is read here."""
    at, fields = 0, []

    def varint():
        nonlocal at
        n = shift = 0
        while True:
            n |= (data[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 128:
                return n
    while at < len(data):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            at, value = at + value, data[at:at + value]
        fields.append((tag >> 3, value))
    return fields


def _first(fields, number):
    return next(value for n, value in fields if n == number)


def _pairs(number, table):
    return [(number, [(1, key), (2, value)]) for key, value in (table or {}).items()]


def _info(answer):
    """What a verbose answer has beside the rest."""
    info = {_first(decode(v), 1): _first(decode(v), 2) for n, v in answer if n == 2}
    return json.loads(info[b"info"])


def _mount(path):
    host, inside, read_only = (path, path, False) if isinstance(path, str) else path
    return [(1, inside), (2, host), (3, int(read_only))]


class Container:
    """MOUNTS are the host's folders that it has, too: a path, or (the host's, the container's, is it
    read-only). CAPABILITIES it gets beside the defaults, without those that are DROPPED. PORTS are
    {name: number} as a kubelet tells them."""

    def __init__(self, pod, name, command, attempt, mounts=(), ports=None, **security):
        self.pod, self.name, self.command, self.attempt = pod, name, command, attempt
        self.more = {"mounts": mounts, "ports": ports, **security}
        listed = json.dumps([{"name": n, "containerPort": p, "protocol": "TCP"}
                             for n, p in (ports or {}).items()])
        config = [(1, [(1, name), (2, attempt)]), (2, [(1, IMAGE)]), *((3, c) for c in command),
                  *((7, _mount(path)) for path in mounts),
                  *_pairs(10, {"io.kubernetes.container.ports": listed} if ports else {}),
                  (11, f"{name}.log"), (15, [(1, []), (2, self._security(**security))])]
        self.id = _first(pod.pods.call("CreateContainer", [
            (1, pod.id), (2, config), (3, pod.config)]), 1).decode()
        pod.pods.call("StartContainer", [(1, self.id)])

    def _security(self, capabilities=(), dropped=(), read_only=False, no_new_privileges=False):
        return [(1, [*((1, c) for c in capabilities), *((2, c) for c in dropped)]),
                (3, self.pod.spaces), (7, int(read_only)), (11, int(no_new_privileges))]

    def pid(self):
        return _info(self.pod.pods.call("ContainerStatus", [(1, self.id), (2, 1)]))["pid"]

    def exec(self, *command, check=True, timeout=30):
        """What COMMAND prints in the container."""
        answer = self.pod.pods.call("ExecSync", [
            (1, self.id), *((2, word) for word in command), (3, timeout)])
        out = dict(answer)
        code = out.get(3, 0)
        if check and code:
            raise RuntimeError(f"{command} in {self.pod.name}: {code}, {out.get(2, b'')!r}")
        return out.get(1, b"").decode()

    def stop(self, patience=0):
        self.pod.pods.call("StopContainer", [(1, self.id), (2, patience)])

    def restart(self):
        """As a kubelet does: a new one, of the same name."""
        self.stop()
        return self.pod.start(self.name, *self.command, attempt=self.attempt + 1, **self.more)


class Resident(Sockets):
    """A container in which a puppet makes sockets for the scene to use."""

    class Started:
        """What meet() wants to know of it."""

        def __init__(self, pid):
            self.pid = pid

        @staticmethod
        def poll():
            return "unknown"

    def __init__(self, pod, name, **how):
        self.pod, self.name, self.how, self.control = pod, name, how, None
        self.attempt = -1
        self.start()

    def start(self):
        """Also again, after end()."""
        self.attempt += 1

        def start(command):
            self.container = self.pod.start(self.name, *command, mounts=self.pod.pods.shared(),
                                            attempt=self.attempt, **self.how)
            return self.Started(self.container.pid())

        self.control = meet(f"{self.pod.pods.dir}/p-{self.pod.uid[:13]}-{self.name}", start)
        return self

    def end(self):
        if self.control:
            self.control.close()
        self.container.stop()
        self.control = None


class PodNamespace(NetworkNamespace):
    """That of a pod, which lives as long as the pod does."""

    def __init__(self, pod):
        self.path = f"/proc/{pod.pid()}/ns/net"
        self.prefix = "nsenter", f"--net={self.path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Pod:
    def __init__(self, pods, name, namespace, labels, annotations, host_network, parent, uid,
                 host_pid):
        self.pods, self.name, self.namespace = pods, name, namespace
        self.uid = uid or str(uuid.uuid4())
        self.cgroup = parent.format(uid=self.uid)
        if "{uid}" in parent:  # a kubelet makes it before it asks for a sandbox
            os.makedirs(mount() + self.cgroup, exist_ok=True)
        self.spaces = [(1, NODE)] * host_network + [(2, NODE if host_pid else CONTAINER)]
        self.config = [
            (1, [(1, name), (2, self.uid), (3, namespace)]), (2, "" if host_network else name),
            (3, f"{pods.dir}/logs"), *_pairs(6, labels), *_pairs(7, annotations),
            (8, [(1, self.cgroup), (2, [(1, self.spaces)])])]
        self.id = _first(pods.call("RunPodSandbox", [(1, self.config)]), 1).decode()

    def start(self, name, *command, attempt=0, **more):
        return Container(self, name, command, attempt, **more)

    def resident(self, name="main", **how):
        """A container whose sockets the scene uses."""
        return Resident(self, name, **how)

    def at(self, port, family=socket.AF_INET, path=""):
        """A URL, or with an empty PATH what stands before it."""
        address = self.addresses()[family == socket.AF_INET6]
        return f"http://{f'[{address}]' if ':' in address else address}:{port}{path}"

    def pid(self):
        """Of its sandbox."""
        return _info(self.pods.call("PodSandboxStatus", [(1, self.id), (2, 1)]))["pid"]

    def addresses(self):
        status = decode(_first(self.pods.call("PodSandboxStatus", [(1, self.id)]), 1))
        network = decode(_first(status, 5))
        more = [_first(decode(v), 1) for n, v in network if n == 2]
        return [a.decode() for a in (_first(network, 1), *more)]

    def remove(self):
        self.pods.remove_sandbox(self.id)
        self.pods.remove_cgroup(self.cgroup)


class Pods:
    """A runtime that lives as long as the `with`."""

    def __init__(self, folder):
        self.dir = os.path.join(folder, "ctd")
        self.socket = f"{self.dir}/sock"
        self.bridge = BRIDGE % os.getpid()
        self.kubepods = f"/kubepods-{os.getpid()}"
        number = os.getpid()
        self.subnets = (f"10.{200 + (number >> 8) % 50}.{number & 255}.0/24",
                        f"fd00:201:{number & 0xffff:x}::/64")
        self.process = self.channel = None
        self.forwarding = {}

    def __enter__(self):
        for name in "", "cni", "logs":
            os.makedirs(f"{self.dir}/{name}")
        for path in FORWARDING:  # which the bridge plugin sets
            with open(path) as file:
                self.forwarding[path] = file.read()
        try:
            self._write_config()
            # There before any pod is, as where a kubelet runs.
            os.makedirs(f"{mount()}{self.kubepods}/burstable", exist_ok=True)
            self.start()
            self._import_image()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _write_config(self):
        with open(f"{self.dir}/config.toml", "w") as file:
            file.write(CONFIG.format(dir=self.dir, image=IMAGE))
        bridge = {"type": "bridge", "bridge": self.bridge, "isGateway": True, "hairpinMode": True,
                  "ipam": {"type": "host-local", "dataDir": f"{self.dir}/ipam",
                           "ranges": [[{"subnet": subnet}] for subnet in self.subnets],
                           "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}}
        with open(f"{self.dir}/cni/10-pods.conflist", "w") as file:
            json.dump({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}, file)

    def _import_image(self):
        make_root(f"{self.dir}/image")
        make_image(f"{self.dir}/image.tar", IMAGE, f"{self.dir}/image")
        subprocess.run(["ctr", "-a", self.socket, "-n", "k8s.io", "images", "import",
                        f"{self.dir}/image.tar"], check=True, capture_output=True, timeout=60)
        # Its CRI hears of it a moment later.
        wait_until(lambda: IMAGE.encode() in self.call_raw("ImageService/ListImages"), "the image")

    def start(self):
        """The daemon; also again, after stop()."""
        with open(f"{self.dir}/log", "ab") as log:
            self.process = subprocess.Popen(["containerd", "-c", f"{self.dir}/config.toml"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        wait_until(self._listens, "containerd listens")  # gRPC would dial again in 5 s only
        self.channel = grpc.insecure_channel(f"unix:{self.socket}")

        def answers():
            try:
                return self.call("Version", [])
            except grpc.RpcError:
                return None
        wait_until(answers, "containerd answers")

    def _listens(self):
        if self.process.poll() is not None:
            with open(f"{self.dir}/log") as text:
                raise RuntimeError("containerd has ended:\n" + text.read()[-2000:])
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(self.socket) == 0

    def stop(self):
        """The daemon alone: pods live on."""
        if self.channel:
            self.channel.close()
        self.channel = None
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(procfs.PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def call_raw(self, method, request=b""):
        return self.channel.unary_unary(f"/runtime.v1.{method}")(request, timeout=60)

    def call(self, method, fields):
        return decode(self.call_raw(f"RuntimeService/{method}", encode(fields)))

    def run(self, name, namespace="default", labels=None, annotations=None, host_network=False,
            parent=None, uid=None, host_pid=False):
        parent = parent or self.kubepods + "/burstable/pod{uid}"
        return Pod(self, name, namespace, labels, annotations, host_network, parent, uid,
                   host_pid)

    def stranger(self, uid):
        """A process in a cgroup that looks like a pod's."""
        return Member(self.dir, self._make_cgroup(f"{self.kubepods}/burstable/pod{uid}"))

    def move_in(self, pod):
        """One of the host that enters the cgroup and the network of POD, as root can."""
        return Member(self.dir, self._make_cgroup(pod.cgroup), PodNamespace(pod))

    @staticmethod
    def _make_cgroup(path):
        os.makedirs(mount() + path, exist_ok=True)
        return mount() + path

    def shared(self):
        """What containers need for the host's programs and for ours."""
        return "/usr", os.path.dirname(os.path.abspath(__file__)), self.dir

    def config(self, **more):
        """For the agent: `pods`."""
        return {"runtime": self.socket,
                "cgroups": [f"{self.kubepods}/burstable/pod*", f"{self.kubepods}/pod*"], **more}

    # ---- the end ----

    def remove_cgroup(self, path):
        """runc leaves the pods' directories, in each hierarchy."""
        for root in _hierarchies():
            top = root + path
            for folder, _, _ in os.walk(top, topdown=False) if os.path.isdir(top) else ():
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def remove_sandbox(self, sandbox):
        self.call("StopPodSandbox", [(1, sandbox)])
        self.call("RemovePodSandbox", [(1, sandbox)])

    def _remove_pods(self):
        if not self.process or not self.channel:
            self.start()
        for number, item in self.call("ListPodSandbox", []):
            if number == 1:
                self.remove_sandbox(_first(decode(item), 1).decode())

    def _processes(self):
        """Those that were told of our folder."""
        return [pid for pid, words in procfs.command_lines().items()
                if any(self.dir in word for word in words)]

    def left(self):
        """What there is of ours outside of the folder."""
        found = folders.mounted_below(self.dir)
        found += [f"process {pid}" for pid in self._processes()]
        found += [p for root in _hierarchies() if os.path.isdir(p := root + self.kubepods)]
        if os.path.exists(f"/sys/class/net/{self.bridge}"):
            found.append(self.bridge)
        return found

    def _kill_rest(self):
        for pid in self._processes():
            if pid != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for root in _hierarchies():
            for kill in glob.glob(f"{root}{self.kubepods}/cgroup.kill"):
                with open(kill, "w") as file:
                    file.write("1")

    def __exit__(self, *_):
        try:
            self._remove_pods()
        except (grpc.RpcError, RuntimeError, TimeoutError):
            pass  # by force, below
        self.stop()
        self._kill_rest()
        deadline = time.monotonic() + 5
        while True:
            folders.unmount(self.dir)
            self.remove_cgroup(self.kubepods)
            if os.path.exists(f"/sys/class/net/{self.bridge}"):
                subprocess.run(["ip", "link", "del", self.bridge], check=False)
            if not self.left() or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        for path, value in self.forwarding.items():
            with open(path, "w") as file:
                file.write(value)
        folders.remove(self.dir, ignore_errors=True)
        assert not self.left(), f"left behind: {self.left()}"
