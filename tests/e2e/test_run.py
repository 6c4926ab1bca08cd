# SPDX-License-Identifier: Apache-2.0
"""`sluice run` around its command: unnoticed while it works, and gone when it ends."""
import os
import pty
import re
import select
import signal
import socket
import subprocess
import textwrap

import pytest

import leftovers
from procfs import alive, command_lines, wait_until
from servers import RawServer
from sluice import cleanup, kill_now

POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: run
spec:
  endpointSelector: {{}}
  egress:
  - toPorts:
    - ports:
      - port: "{port}"
        protocol: TCP
      rules:
        http:
        - path: /ok
    - ports:
      - port: "{plain}"
        protocol: TCP
"""
NO_TRAFFIC = POLICY.format(port=1, plain=2)
GET = b"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PYTHON = "/usr/bin/python3"


@pytest.mark.parametrize("code", [0, 1, 77, 125, 255])
def test_exit_code_is_the_commands(code, sluice):
    result = sluice.run("sh", "-c", f"exit {code}", policy=NO_TRAFFIC)
    assert (result.code, result.out, result.err) == (code, b"", "")


@pytest.mark.held
@pytest.mark.parametrize("name", ["TERM", "KILL", "INT", "HUP", "USR1", "SEGV"])
def test_exit_code_of_a_signal(name, sluice):
    result = sluice.run("sh", "-c", f"ulimit -c 0; kill -{name} $$", policy=NO_TRAFFIC)
    assert (result.code, result.err) == (128 + signal.Signals["SIG" + name], "")


@pytest.mark.held
@pytest.mark.parametrize("command, code", [("no-such-command", 127), ("/etc/passwd", 126),
                                           ("/", 126)])
def test_command_that_cannot_be_started(command, code, sluice):
    result = sluice.run(command, policy=NO_TRAFFIC)
    assert result.code == code
    assert re.fullmatch(rf"sluice: .*{re.escape(command)}.*\n", result.err), result.err


SIGNALS = textwrap.dedent("""
    import signal, sys

    def on_signal(number, frame):
        print(signal.Signals(number).name, flush=True)

    names = sys.argv[1].split()
    for name in names:
        signal.signal(getattr(signal, name), on_signal)
    print("ready", flush=True)
    for _ in names:
        signal.pause()
    sys.exit(9)
""")


def test_signals_are_forwarded(sluice):
    names = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGQUIT"]
    run = sluice.start(PYTHON, "-c", SIGNALS, " ".join(names), policy=NO_TRAFFIC)
    for number, name in enumerate(names):
        wait_until(lambda: run.read("out").count(b"\n") == number + 1, f"before {name}")
        run.signal(getattr(signal, name))
    result = run.wait()
    assert result.out.decode().split() == ["ready", *names]
    assert (result.code, result.err) == (9, "")


@pytest.mark.held
def test_signal_that_ends_the_command_ends_the_run(sluice):
    run = sluice.start("sleep", "1000", policy=NO_TRAFFIC)
    wait_until(lambda: b"sleep" in cmdline_of_child(run.pid), "the command runs")
    run.signal(signal.SIGTERM)
    assert run.wait().code == 128 + signal.SIGTERM


def cmdline_of_child(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        for child in children.read().split():
            with open(f"/proc/{child}/cmdline", "rb") as cmdline:
                return cmdline.read()
    return b""


@pytest.mark.held
def test_what_the_command_leaves_is_terminated(sluice):
    """Children that it forked, one in a session of its own, one that ignores SIGTERM, one that is
    stopped."""
    mark = f"{100000 + os.getpid()}"
    script = f"""
        sleep {mark}.1 &
        setsid sleep {mark}.2 &
        (trap '' TERM; exec sleep {mark}.3) &
        sleep {mark}.4 & kill -STOP $!
        until [ $(pgrep -c -f 'sleep {mark}') -ge 4 ]; do :; done
        exit 3
    """

    def sleepers():
        return [line for line in command_lines().values()
                if line[0] == "sleep" and line[1].startswith(mark)]

    result = sluice.run("sh", "-c", script, policy=NO_TRAFFIC)
    assert (result.code, result.err) == (3, "")
    assert sleepers() == []


GOODBYE = textwrap.dedent("""
    import http.client, os, signal, sys

    def on_terminate(*_):
        connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
        connection.request("GET", "/ok")
        print(connection.getresponse().status, flush=True)
        os._exit(0)

    reader, writer = os.pipe()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, on_terminate)
        os.write(writer, b"x")
        while True:
            signal.pause()
    os.read(reader, 1)
""")


@pytest.mark.held
def test_what_the_command_leaves_can_say_goodbye(sluice, origin):
    """It is terminated, not killed, and its last request is still carried."""
    policy = POLICY.format(port=origin.port, plain=2)
    result = sluice.run(PYTHON, "-c", GOODBYE, str(origin.port), policy=policy)
    assert (result.code, result.out, result.err) == (0, b"200\n", "")
    assert origin.requests() == ["GET /ok"]


def test_standard_streams_are_untouched(sluice):
    """They are the very same files, and carry any bytes."""
    data = os.urandom(1 << 20)
    script = 'names=$(for i in 0 1 2; do readlink /proc/$$/fd/$i; done); echo "$names" >&2; cat'
    reader, writer = os.pipe()
    run = sluice.start("sh", "-c", script, policy=NO_TRAFFIC, stdin=reader)
    os.close(reader)
    name = os.readlink(f"/proc/self/fd/{writer}")
    with open(writer, "wb") as stream:
        stream.write(data)
    result = run.wait()
    assert result.out == data
    assert result.err.split() == [name, os.path.join(run.folder, "out"),
                                  os.path.join(run.folder, "err")]


def test_terminal_stays_the_commands(sluice):
    primary, secondary = pty.openpty()
    run = sluice.start("sh", "-c", "test -t 0 && test -t 1 && tty && stty size",
                       policy=NO_TRAFFIC, stdin=secondary, stdout=secondary)
    name = os.ttyname(secondary)
    assert run.wait().code == 0
    os.close(secondary)
    assert os.read(primary, 1000).decode().split() == [name, "0", "0"]
    os.close(primary)


@pytest.mark.held
def test_inherited_sockets_are_closed(sluice, server):
    """They were made outside, so no hook would see what goes over them. A pipe is kept."""
    reader, writer = os.pipe()
    with socket.create_connection(server.address) as open_socket, socket.socket() as fresh, \
            socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        server.accept()
        passed = [open_socket.fileno(), fresh.fileno(), datagrams.fileno(), writer]
        for fd in passed:
            os.set_inheritable(fd, True)
        result = sluice.run("sh", "-c", "ls -l /proc/self/fd", policy=NO_TRAFFIC,
                            close_fds=False)
    os.close(reader)
    os.close(writer)
    listing = result.out.decode()
    assert "socket:" not in listing, listing
    assert re.search(rf" {writer} -> pipe:", listing), listing


@pytest.mark.held
def test_command_runs_as_another_user(sluice, origin):
    policy = POLICY.format(port=origin.port, plain=2)
    url = f"http://127.0.0.1:{origin.port}"
    result = sluice.run(
        "sh", "-c", f"id -u; id -un; id -G; curl -s -o /dev/null -o /dev/null --noproxy '*' "
                    f"-w '%{{http_code}}\\n' {url}/ok {url}/no",
        policy=policy, options=["--user", "nobody"])
    groups = subprocess.run(["id", "-G", "nobody"], capture_output=True, text=True, check=True)
    uid = subprocess.run(["id", "-u", "nobody"], capture_output=True, text=True, check=True)
    expected = [uid.stdout.strip(), "nobody", groups.stdout.strip(), "200", "403"]
    assert result.out.decode().splitlines() == expected


@pytest.mark.held
def test_unknown_user_is_an_error(sluice):
    result = sluice.run("true", policy=NO_TRAFFIC, options=["--user", "no-such-user"])
    assert result.code == 125
    assert re.fullmatch(r"sluice: .*no-such-user.*\n", result.err)


@pytest.mark.held
def test_without_root_one_sentence_says_so(sluice, folder):
    os.chmod(folder, 0o755)
    result = sluice.run("true", policy=NO_TRAFFIC,
                        prefix=["setpriv", "--reuid", "65534", "--regid", "65534",
                                "--clear-groups"])
    assert result.code == 125
    assert re.fullmatch(r"sluice: .*root.*\n", result.err), result.err


@pytest.mark.held
@pytest.mark.parametrize("missing", ["bpf", "net_admin", "sys_admin"])
def test_missing_capability_is_named(missing, sluice):
    result = sluice.run("true", policy=NO_TRAFFIC,
                        prefix=["setpriv", "--bounding-set", f"-{missing}"])
    # Whoever has CAP_SYS_ADMIN has what CAP_BPF would give.
    if result.code != 0:
        assert result.code == 125
        assert re.fullmatch(r"sluice: .*CAP_[A-Z_]+.*\n", result.err), result.err
    assert result.code != 0 or missing == "bpf"


def test_no_policy_enforces_nothing_and_says_so(sluice, server):
    workload = sluice.workload()
    with workload.connect(server.address) as client:
        upstream = server.accept()
        client.send(b"anything")
        assert upstream.read(8) == b"anything"
    result = workload.finish()
    if not sluice.direct:
        assert re.fullmatch(r"sluice: no policy was given.*nothing is enforced\n", result.err)


@pytest.mark.held
def test_labels_select_policies(sluice, server):
    """A policy for others leaves this command alone; the one for it holds it."""
    policy = POLICY.format(port=server.port, plain=2).replace(
        "endpointSelector: {}", "endpointSelector:\n    matchLabels:\n      app: shop\n"
                                "      tier: back")
    other = sluice.workload(policy, options=["--label", "app=shop", "--label", "tier=front"])
    shop = sluice.workload(policy, options=["--label", "app=shop", "--label", "tier=back"])
    with RawServer() as elsewhere:
        other.connect(elsewhere.address).close()
        with pytest.raises(PermissionError):
            shop.connect(elsewhere.address)
    assert "nothing is enforced" in other.finish().err
    assert shop.finish().denied("connect to") == 1


@pytest.mark.held
def test_two_runs_at_once_hold_each_to_its_own(sluice, server):
    with RawServer() as other_server:
        runs = [sluice.workload(POLICY.format(port=server.port, plain=2)),
                sluice.workload(POLICY.format(port=other_server.port, plain=2))]
        for run, mine, theirs in ((runs[0], server, other_server),
                                  (runs[1], other_server, server)):
            with run.connect(mine.address) as client:
                upstream = mine.accept()
                client.send(GET)
                assert upstream.read(len(GET)) == GET
            with pytest.raises(PermissionError):
                run.connect(theirs.address)
        for run in runs:
            run.finish()


@pytest.mark.held
def test_connection_in_use_when_the_command_ends(sluice, server):
    """What the command sent before it ended is delivered."""
    body = os.urandom(300_000)
    workload = sluice.workload(POLICY.format(port=server.port, plain=2))
    client = workload.connect(server.address)
    upstream = server.accept()
    request = b"POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
    client.send(request + body)
    client.close()
    result = workload.finish()
    assert upstream.read_rest() == request + body
    assert result.err == ""


# After SIGKILL

@pytest.fixture
def killed(sluice, server):
    """A workload whose sluice was killed, and a server on a port without HTTP rules."""
    with RawServer() as plain:
        workload = sluice.workload(POLICY.format(port=server.port, plain=plain.port))
        workload.plain = plain
        child = int(open(f"/proc/{workload.pid}/task/{workload.pid}/children").read().split()[0])
        workload.child = child
        workload.before_kill = workload.connect(server.address)
        server.accept()
        workload.kill()
        yield workload
        workload.control.close()
        wait_until(lambda: not alive(child), "the command ends")
        cleanup()


@pytest.mark.alone
@pytest.mark.held
def test_enforcement_outlives_sluice(killed, server):
    """Nothing that needed judging passes any more; the rest goes on as it was."""
    assert killed.before_kill.read_rest() == b""
    with pytest.raises(PermissionError):
        killed.connect(server.address)
    with RawServer() as forbidden, pytest.raises(PermissionError):
        killed.connect(forbidden.address)
    with killed.connect(killed.plain.address) as client:
        upstream = killed.plain.accept()
        client.send(b"untouched")
        assert upstream.read(9) == b"untouched"
    assert server.nobody_came()


@pytest.mark.alone
@pytest.mark.held
def test_nobody_can_take_the_place_of_a_killed_sluice(killed, server):
    """Every free port is worth a try for an impostor: none gets the workload's connections."""
    with socket.socket() as impostor:
        impostor.bind(("127.0.0.1", 0))
        impostor.listen()
        with pytest.raises(PermissionError):
            killed.connect(server.address)
        assert not select.select([impostor], [], [], 0)[0]


@pytest.mark.alone
@pytest.mark.held
def test_next_start_leaves_the_living_alone(killed, sluice, server):
    """Another run starts and works, while the processes of the killed one stay refused."""
    workload = sluice.workload(POLICY.format(port=server.port, plain=2))
    with workload.connect(server.address) as client:
        upstream = server.accept()
        client.send(GET)
        assert upstream.read(len(GET)) == GET
        upstream.send(OK)
        assert client.read(len(OK)) == OK
    with pytest.raises(PermissionError):
        killed.connect(server.address)
    workload.finish()
    report = cleanup()
    assert report.returncode == 1 and "still live" in report.stderr, report
    with pytest.raises(PermissionError):
        killed.connect(server.address)


def end_command(workload):
    workload.control.close()
    wait_until(lambda: not alive(workload.child), "the command ends")


@pytest.mark.alone
@pytest.mark.held
def test_cleanup_removes_what_a_killed_sluice_left(killed, nothing_left):
    end_command(killed)
    report = cleanup()
    assert report.returncode == 0, report
    assert report.stdout.startswith("removed what 1 killed run left\n"), report
    assert report.stdout.endswith("nothing else of a killed sluice is pinned\n"), report
    leftovers.check(nothing_left)
    assert cleanup().stdout == ""


@pytest.mark.alone
@pytest.mark.held
def test_next_start_removes_what_a_killed_sluice_left(killed, sluice, nothing_left):
    end_command(killed)
    assert sluice.run("true", policy=NO_TRAFFIC).code == 0
    leftovers.check(nothing_left)


@pytest.mark.alone
@pytest.mark.held
@pytest.mark.parametrize("moment", range(0, 200, 20))
def test_killed_at_any_moment_of_its_start(moment, sluice, nothing_left):
    """However far it got, `sluice cleanup` removes it."""
    run = sluice.start("sleep", "1000", policy=NO_TRAFFIC)
    select.select([], [], [], moment / 1000)
    children = []
    try:
        with open(f"/proc/{run.pid}/task/{run.pid}/children") as file:
            children = [int(pid) for pid in file.read().split()]
    except FileNotFoundError:
        pass
    run.kill()
    for child in children:
        kill_now(child)
        wait_until(lambda: not alive(child), "the command ends")
    wait_until(lambda: cleanup().returncode == 0, "cleanup")
    leftovers.check(nothing_left)


# The other commands

@pytest.mark.held
def test_version_and_help(sluice):
    version = sluice.command("--version")
    assert version.returncode == 0 and re.fullmatch(r"sluice \d+\.\d+\.\d+\n", version.stdout)
    helped = sluice.command("--help")
    assert helped.returncode == 0 and helped.stderr == ""
    for word in ("run", "check", "cleanup"):
        assert word in helped.stdout
        assert sluice.command(word, "--help").returncode == 0


@pytest.mark.held
@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["run"], ["run", "--nonsense", "true"], ["run", "--workers", "0", "true"],
    ["run", "--label", "nonsense", "true"], ["check"], ["cleanup", "nonsense"]])
def test_wrong_usage_is_said(arguments, sluice):
    result = sluice.command(*arguments)
    assert result.returncode not in (0, 1) and result.stderr and result.stdout == "", result


@pytest.mark.held
def test_policy_with_errors_starts_nothing(sluice):
    result = sluice.run("echo", "started", policy=NO_TRAFFIC.replace("toPorts", "toPort"))
    assert result.code == 125 and result.out == b""
    assert re.search(r"policy-0\.yaml:\d+:\d+: .*toPort.*toPorts", result.err), result.err
