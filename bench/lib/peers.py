# SPDX-License-Identifier: Apache-2.0
"""The arms that are dialled: HAProxy, nginx and Envoy, with their configurations from ../peers."""
import json
import os
import re
import shutil
import signal
import subprocess

import envoy_binary
import rules
from arms import ROOT, Arm
from processes import Process, tree

CONFIGURATIONS = os.path.join(ROOT, "bench", "peers")
H2_SERVER = os.path.join(ROOT, "build", "bench_h2_server")
# The first that is used; each arm of a group has another.
PORT = 8100
REFUSER_PORT = 8300


class Peer(Arm):
    """A proxy beside the client, dialled instead of the server."""
    program = None
    configuration = None
    version_option = "-v"

    @classmethod
    def missing(cls):
        return None if cls.binary() else f"no {cls.program} here"

    @classmethod
    def binary(cls):
        return shutil.which(cls.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

    @classmethod
    def says_of_itself(cls):
        done = subprocess.run([cls.binary(), cls.version_option], capture_output=True, text=True,
                              check=True)
        return (done.stdout + done.stderr).replace(cls.binary(), "")

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.target = "127.0.0.1", PORT + self.number
        self.process = None

    def configure(self, **words):
        """Write the configuration with its @WORDS@ replaced."""
        words |= {"FOLDER": self.folder, "PORT": self.target[1],
                  "SERVER": "%s:%d" % self.server,
                  "SERVER_ADDRESS": self.server[0], "SERVER_PORT": self.server[1]}
        with open(os.path.join(CONFIGURATIONS, self.configuration), encoding="utf-8") as file:
            text = re.sub("@([A-Z_]+)@", lambda found: str(words.get(found[1], found[0])),
                          file.read())
        self.write(self.configuration, text)

    def write_rules(self, made):
        raise NotImplementedError

    def command(self):
        """The proxy's arguments."""
        raise NotImplementedError

    def words(self):
        """Those @WORDS@ of the configuration that are this peer's own."""
        raise NotImplementedError

    def __enter__(self):
        self.configure(**self.words())
        self.write_rules(self.setup.make_rules())
        self.process = Process([*self.place.client.prefix, self.binary(), *self.command()],
                               self.path("output"))
        try:
            return super().__enter__()
        except BaseException:
            self.process.stop()
            raise

    def __exit__(self, *what):
        try:
            super().__exit__(*what)
        finally:
            self.process.stop()

    def check_alive(self):
        super().check_alive()
        self.process.check()

    def pids(self):
        return tree(self.process.pid)


class Haproxy(Peer):
    name = program = "haproxy"
    configuration = "haproxy.cfg"
    lists = {("GET", rules.LITERAL): "literals", ("GET", rules.PREFIX): "prefixes",
             ("GET", rules.REGEX): "expressions", ("POST", rules.LITERAL): "posts"}

    def words(self):
        # Its output goes to a file here, which costs it less than a datagram to a syslog server.
        return {"LOG": "log stdout format raw local0" if self.setup.log else "",
                "LOG_OPTION": "log global\n    option httplog" if self.setup.log else "",
                "PROTO": "" if self.setup.protocol == rules.H1 else "proto h2",
                "REUSE": "always" if self.setup.pool else "never",
                "POOL": "pool-purge-delay 1h" if self.setup.pool else "pool-max-conn 0"}

    def write_rules(self, made):
        lines = {name: [] for name in self.lists.values()}
        for rule in made:
            text = f"^{rule.text}$" if rule.kind == rules.REGEX else rule.text
            lines[self.lists[rule.method, rule.kind]].append(text + "\n")
        for name, texts in lines.items():
            self.write(f"{name}.list", "".join(texts))

    def command(self):
        # The master is there for reloads, and takes the listeners along.
        return [*(["-W"] if self.setup.reload else []), "-f", self.path(self.configuration)]

    def reload(self, made):
        self.write_rules(made)
        self.process.process.send_signal(signal.SIGUSR2)


class Nginx(Peer):
    name = program = "nginx"
    configuration = "nginx.conf"
    locations = {rules.LITERAL: "= {}", rules.PREFIX: "^~ {}", rules.REGEX: '~ "^{}$"'}

    def words(self):
        return {"LOG": f"{self.path('access.log')} combined buffer=64k flush=1s"
                       if self.setup.log else "off",
                "LISTEN": "" if self.setup.protocol == rules.H1 else "http2",
                "POOL": "keepalive 1024; keepalive_timeout 1h; keepalive_requests 1000000000;"
                        if self.setup.pool else ""}

    def write_rules(self, made):
        # Towards the server it speaks HTTP/2 only where that is gRPC, or passes for it.
        to = "proxy_pass http" if self.setup.protocol == rules.H1 else "grpc_pass grpc"
        self.write("locations.conf", "".join(
            f"location {self.locations[rule.kind].format(rule.text)} "
            f"{{ limit_except {rule.method} {{ deny all; }} {to}://server; }}\n"
            for rule in made))

    def command(self):
        return ["-p", self.folder, "-c", self.path(self.configuration)]

    def reload(self, made):
        self.write_rules(made)
        self.process.process.send_signal(signal.SIGHUP)


TYPE = "type.googleapis.com/"
ALLOW = {"action": {"name": "allow", "typed_config": {
    "@type": TYPE + "envoy.config.rbac.v3.Action", "name": "allow", "action": "ALLOW"}}}


def _header(name):
    return {"name": name, "typed_config": {
        "@type": TYPE + "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": name}}


def _tree(header, kind, table):
    return {"matcher_tree": {"input": _header(header), kind: {"map": table}}}


class Envoy(Peer):
    name = program = "envoy"
    configuration = "envoy.yaml"
    version_option = "--version"

    @classmethod
    def missing(cls):
        return envoy_binary.missing()

    @classmethod
    def binary(cls):
        return envoy_binary.PATH

    def words(self):
        log = [{"name": "file", "typed_config": {
            "@type": TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": self.path("access.log")}}]
        http1 = self.setup.protocol == rules.H1
        options = {"@type": TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                   "explicit_http_config":
                       {"http_protocol_options": {}} if http1 else {"http2_protocol_options": {}}}
        if not self.setup.pool:
            options["common_http_protocol_options"] = {"max_requests_per_connection": 1}
        return {"LOG": json.dumps(log if self.setup.log else []),
                "CODEC": "HTTP1" if http1 else "HTTP2", "UPSTREAM": json.dumps(options)}

    @staticmethod
    def _paths(made):
        """The matcher of the paths of these rules: literals, else prefixes, else expressions."""
        text = {kind: [rule.text for rule in made if rule.kind == kind]
                for kind in (rules.LITERAL, rules.PREFIX, rules.REGEX)}
        matcher = None
        if text[rules.REGEX]:
            matcher = {"matcher_list": {"matchers": [
                {"predicate": {"single_predicate": {
                    "input": _header(":path"),
                    "value_match": {"safe_regex": {"google_re2": {}, "regex": expression}}}},
                 "on_match": ALLOW} for expression in text[rules.REGEX]]}}
        for kind, table in (rules.PREFIX, "prefix_match_map"), (rules.LITERAL, "exact_match_map"):
            if text[kind]:
                found = _tree(":path", table, {path: ALLOW for path in text[kind]})
                matcher = found | ({"on_no_match": {"matcher": matcher}} if matcher else {})
        return matcher

    def write_rules(self, made):
        methods = {method: {"matcher": self._paths([r for r in made if r.method == method])}
                   for method in {rule.method for rule in made}}
        route = {"match": {"prefix": "/"}, "route": {"cluster": "server", "timeout": "0s"}}
        self.write("routes.json", json.dumps({"resources": [{
            "@type": TYPE + "envoy.config.route.v3.RouteConfiguration", "name": "bench",
            "virtual_hosts": [{
                "name": "bench", "domains": ["*"], "routes": [route],
                "typed_per_filter_config": {"envoy.filters.http.rbac": {
                    "@type": TYPE + "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
                    "rbac": {"matcher": _tree(":method", "exact_match_map", methods)}}}}]}]}))

    def command(self):
        return ["-c", self.path(self.configuration), "--concurrency", "1", "--disable-hot-restart",
                "--log-level", "error"]

    def reload(self, made):
        self.write_rules(made)      # it watches for the file that takes the old one's place


class Nghttpx(Peer):
    """Debian's has no scripts, and so nothing but paths to go by: what no pattern has goes to a
    server that refuses everything."""
    name = program = "nghttpx"
    configuration = "nghttpx.conf"
    version_option = "--version"
    methods = False
    protocols = rules.H2, rules.GRPC
    refuser = None

    def words(self):
        return {"REFUSER_PORT": REFUSER_PORT + self.number, "PATTERNS": ":".join(
            rule.text for rule in self.setup.make_rules())}

    def write_rules(self, made):
        pass        # they are in its configuration

    def command(self):
        return [f"--conf={self.path(self.configuration)}"]

    def __enter__(self):
        self.refuser = Process([*self.place.client.prefix, H2_SERVER, "127.0.0.1",
                                str(REFUSER_PORT + self.number), "--refuse"], self.path("refuser.output"))
        try:
            return super().__enter__()
        except BaseException:
            self.refuser.stop()
            raise

    def __exit__(self, *what):
        try:
            super().__exit__(*what)
        finally:
            self.refuser.stop()


PEERS = [Haproxy, Nginx, Nghttpx, Envoy]
