# SPDX-License-Identifier: Apache-2.0
"""nginx and curl wherever a scene wants them: as a workload, in a network namespace, or neither."""
import os
import shutil
import subprocess

from procfs import PATIENCE, wait_until

CONFIG = """
daemon off; master_process on; worker_processes 2; pid {folder}/pid; error_log {folder}/error;
events {{ }}
http {{
    log_format who "$remote_addr $remote_port $server_protocol $request_uri $status";
    access_log {folder}/access who;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{servers}
}}
"""
GRPC = "-H", "content-type: application/grpc", "-d", ""


class NginxWho:
    """It logs who its clients are. Each of LISTENS is a server, as "127.0.0.1:80 http2". The caller
    starts .command."""

    def __init__(self, folder, *listens):
        self.folder = os.path.join(folder, "nginx-who")
        os.mkdir(self.folder)
        path = os.path.join(self.folder, "conf")
        with open(path, "w") as file:
            file.write(CONFIG.format(folder=self.folder, servers="\n".join(
                f'    server {{ listen {at}; location / {{ return 200 "hello\\n"; }} }}'
                for at in listens)))
        self.command = [shutil.which("nginx") or "/usr/sbin/nginx", "-c", path, "-p", self.folder]

    def wait(self):
        wait_until(lambda: os.path.exists(os.path.join(self.folder, "pid")), "nginx runs")

    def seen(self):
        """["address port protocol path status", ...]: every request that it got."""
        with open(os.path.join(self.folder, "access")) as file:
            return file.read().splitlines()


def _run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def curl(*arguments, run=_run):
    """Its answer's status, and the port from which it came. RUN runs a command, somewhere."""
    status, number = run("curl", "-gsS", "-o", "/dev/null", "-m", str(PATIENCE),
                         "-w", "%{http_code} %{local_port}", *arguments).split()
    return int(status), int(number)


def grpc_status(url, run=_run):
    """That with which a call is answered, without any message."""
    head = run("curl", "-gsS", "-D", "-", "-o", "/dev/null", "--http2-prior-knowledge",
               "-m", str(PATIENCE), *GRPC, url).splitlines()
    assert head[0].startswith("HTTP/2 200"), head
    return next(int(line.split(":")[1]) for line in head if line.startswith("grpc-status:"))
