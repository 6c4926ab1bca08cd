# SPDX-License-Identifier: Apache-2.0
"""Attempts to leave the cgroup, to take the hooks off, and to have the kernel run a program."""
import ctypes
import os
import struct

from escape import (CLONE_NEWCGROUP, CLONE_NEWNS, attempt, become_root_of_a_user_namespace, check,
                    deliver, in_child, libc, mount, mounts, syscall, unshare)

MS_REMOUNT, MS_BIND = 32, 4096
BPF_OBJ_GET, BPF_OBJ_GET_INFO_BY_FD = 7, 15
BPF_LINK_GET_FD_BY_ID, BPF_LINK_GET_NEXT_ID, BPF_LINK_DETACH = 30, 31, 34
SWITCHES = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
            "/proc/sys/kernel/hotplug", "/proc/sys/kernel/poweroff_cmd",
            "/proc/sys/net/ipv4/ip_forward", "/sys/kernel/uevent_helper")


def _write(path, text):
    fd = os.open(path, os.O_WRONLY)  # never makes a file
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _unmount(path):
    check(libc.umount2(path.encode(), 0))


def _enter(folder):
    """Into the top of a cgroup2 tree, and into whatever is beside us."""
    _write(os.path.join(folder, "cgroup.procs"), "0")


def own_group():
    with open("/proc/self/cgroup") as groups:
        return next(line[3:].strip() for line in groups if line.startswith("0::"))


def _leave_below(report, facts, view, name):
    """By every group of a view of the tree that is not ours."""
    before = own_group()
    for folder, folders, _ in os.walk(view):
        if "/sluice-" in folder + "/":
            continue
        report.tried(f"{name}: enter", _enter, folder)
        if own_group() != before:
            break
        if len(folders) > 50:
            break
    deliver(report, facts, name)


@attempt
def leave(report, facts):
    """By what is mounted."""
    for view in mounts("cgroup2"):
        report.tried("remount", mount, "none", view, "none", MS_REMOUNT | MS_BIND)
        if facts["confined"]:
            report.tried("unmount", _unmount, view)
        _leave_below(report, facts, view, "by the mounted tree")


@attempt
def leave_by_new_mount(report, facts):
    """By a tree that we mount ourselves: as we are, and as root of a user namespace."""
    place = facts["folder"] + "/tree"

    def plain(mine):
        mount("none", place, "cgroup2")
        _leave_below(mine, facts, place, "by a new mount")

    def in_namespaces(extra):
        def inside(mine):
            become_root_of_a_user_namespace()
            unshare(CLONE_NEWNS | extra)
            mount("none", place, "cgroup2")
            _leave_below(mine, facts, place, f"by a mount in namespaces {extra:x}")
        return inside

    in_child(report, "mount", plain)
    in_child(report, "mount in a user namespace", in_namespaces(0))
    in_child(report, "mount in a user and a cgroup namespace", in_namespaces(CLONE_NEWCGROUP))
    deliver(report, facts)


@attempt
def leave_by_processes(report, facts):
    """By the view that other processes have of the files, and by their namespaces."""
    for pid in (1, facts["sluice"], facts["outsider"]):
        def chroot(mine, pid=pid):
            os.chroot(f"/proc/{pid}/root")
            _leave_below(mine, facts, facts["tree"], f"by chroot to {pid}")

        def enter(mine, pid=pid):
            with open(f"/proc/{pid}/ns/mnt") as theirs:
                check(libc.setns(theirs.fileno(), CLONE_NEWNS))
            _leave_below(mine, facts, facts["tree"], f"by the namespace of {pid}")

        report.tried(f"look through {pid}", os.listdir, f"/proc/{pid}/root/")
        report.tried(f"look at the files of {pid}", os.listdir, f"/proc/{pid}/fd")
        _leave_below(report, facts, f"/proc/{pid}/root{facts['tree']}", f"through {pid}")
        _leave_below(report, facts, f"/proc/{pid}/cwd{facts['tree']}", f"from where {pid} is")
        in_child(report, f"chroot to {pid}", chroot)
        in_child(report, f"setns to {pid}", enter)


@attempt
def leave_by_handle(report, facts):
    """By the number of a file in place of its name."""
    for view in mounts("cgroup2"):
        def through(view=view):
            handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
            number = ctypes.c_int()
            top = os.open(view, os.O_RDONLY | os.O_DIRECTORY)
            syscall("name_to_handle_at", top, ctypes.c_char_p(b"cgroup.procs"), handle,
                    ctypes.byref(number), 0)
            fd = syscall("open_by_handle_at", top, handle, os.O_WRONLY)
            os.write(fd, b"0")
        report.tried(f"open by handle {view}", through)
    deliver(report, facts)


@attempt
def leave_by_passed_files(report, facts):
    """By files and directories that sluice's caller had open."""
    for fd in facts["fds"]:
        report.tried(f"write to {fd}", os.write, fd, b"0")
        report.tried(f"from the directory {fd}",
                     lambda fd=fd: os.close(os.open("cgroup.procs", os.O_WRONLY, dir_fd=fd)))
        path = facts["tree"].lstrip("/") + "/cgroup.procs"

        def walk(fd=fd, path=path):
            target = os.open(path, os.O_WRONLY, dir_fd=fd)
            os.write(target, b"0")
        report.tried(f"down from the directory {fd}", walk)
        report.tried(f"list {fd}", os.listdir, fd)
    deliver(report, facts)


def _bpf(command, *words):
    attribute = ctypes.create_string_buffer(struct.pack(f"={len(words)}I", *words) + bytes(96))
    return syscall("bpf", command, attribute, 64)


def _open_pin(path):
    name = ctypes.create_string_buffer(path.encode())
    attribute = ctypes.create_string_buffer(
        struct.pack("=QII", ctypes.addressof(name), 0, 0) + bytes(64))
    return syscall("bpf", BPF_OBJ_GET, attribute, 64)


def _is_ours(link):
    """Attached to our own cgroup. Other links of this machine are not our business."""
    info = ctypes.create_string_buffer(256)
    attribute = ctypes.create_string_buffer(
        struct.pack("=IIQ", link, len(info), ctypes.addressof(info)) + bytes(64))
    syscall("bpf", BPF_OBJ_GET_INFO_BY_FD, attribute, 64)
    group = struct.unpack_from("=Q", info, 16)[0]
    return any(os.stat(view + own_group()).st_ino == group for view in mounts("cgroup2")
               if os.path.exists(view + own_group()))


def _detach_all(report):
    number = 0
    while True:
        attribute = ctypes.create_string_buffer(struct.pack("=III", number, 0, 0) + bytes(64))
        try:
            syscall("bpf", BPF_LINK_GET_NEXT_ID, attribute, 12)
        except OSError:
            break
        number = struct.unpack_from("=I", attribute, 4)[0]
        fd = report.tried("link by its id", _bpf, BPF_LINK_GET_FD_BY_ID, number)
        if fd and _is_ours(fd):
            report.tried("detach by its id", _bpf, BPF_LINK_DETACH, fd)


@attempt
def detach(report, facts):
    """By pins, by ids, through another process's view, by unmounting what covers them."""
    places = mounts("bpf") + [".", "/sys/fs/bpf", f"/proc/{facts['sluice']}/root/sys/fs/bpf",
                              f"/proc/{facts['outsider']}/root/sys/fs/bpf"]
    for place in places:
        if facts["confined"]:
            report.tried("uncover", _unmount, place)
        for folder, _, files in os.walk(place + "/sluice"):
            if f"/sluice/{facts['sluice']}-" not in folder:
                continue  # another run's, which is not our business
            for name in files:
                report["a pin"] = "ok"
                fd = report.tried("open a pin", _open_pin, os.path.join(folder, name))
                if fd:
                    report.tried("detach by a pin", _bpf, BPF_LINK_DETACH, fd)
                report.tried("remove a pin", os.unlink, os.path.join(folder, name))
    _detach_all(report)
    report["state"] = " ".join(os.listdir("/run/sluice")) if os.getuid() == 0 else ""
    deliver(report, facts)


@attempt
def switches(report, facts):
    """Files that make the kernel start a program, outside of any cgroup of ours. Written is what
    they already say."""
    def same(path):
        with open(path) as file:
            text = file.read()
        _write(path, text)

    def fresh(mine):
        place = facts["folder"] + "/tree"
        become_root_of_a_user_namespace()
        unshare(CLONE_NEWNS)
        mount("none", place, "proc")
        mine.tried("fresh switch", same, place + "/sys/kernel/core_pattern")

    for path in SWITCHES:
        if os.path.exists(path):
            report.tried(path, same, path)
    for group in mounts("cgroup"):
        if os.path.exists(group + "/release_agent"):
            report.tried("release_agent", same, group + "/release_agent")
    in_child(report, "fresh proc", fresh)
