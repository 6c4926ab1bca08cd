# SPDX-License-Identifier: Apache-2.0
"""The rules that every arm is given: the same in number, kind and meaning. How an arm writes them
down is the arm's business."""
import collections

LITERAL, PREFIX, REGEX = "literal", "prefix", "regex"
# TEXT is the literal, the prefix, or the expression for the whole path; TARGET is a path it allows.
Rule = collections.namedtuple("Rule", "kind method text target")

# What the rules are for.
H1, H2, GRPC = "h1", "h2", "grpc"
ECHO, BYTES, UPLOAD, DENIED = "/echo", "/bytes/", "/upload", "/denied/by/all"
# What each scenario needs, whatever the number of rules.
BASE = (Rule(LITERAL, "GET", ECHO, None), Rule(PREFIX, "GET", BYTES, None),
        Rule(LITERAL, "POST", UPLOAD, None))
# The kinds of ten rules in a row: most are plain strings, one needs an expression.
MIX = (LITERAL, PREFIX, LITERAL, LITERAL, REGEX, LITERAL, PREFIX, LITERAL, LITERAL, LITERAL)
SERVICES = 97           # so that prefixes are shared, as those of real services are


def _rule(i):
    kind = MIX[i % len(MIX)]
    if kind == LITERAL:
        path = f"/service-{i % SERVICES}/items/{i}"
        return Rule(kind, "GET", path, path)
    if kind == PREFIX:
        path = f"/service-{i % SERVICES}/files-{i}/"
        return Rule(kind, "GET", path, path + "a/b.txt")
    return Rule(kind, "GET", f"/team-{i}/users/[0-9]+/orders/[a-z0-9-]+",
                f"/team-{i}/users/42/orders/x-{i}")


def _call(i):
    path = f"/bench.service{i % SERVICES}/Method{i}"
    return Rule(LITERAL, "POST", path, path)


def make(number, changed=False, protocol=H1):
    """NUMBER rules. With CHANGED one of them is another one: what a reload brings. Of HTTP/2 without
    expressions, since nghttpx has none; of gRPC they name calls."""
    if protocol == GRPC:
        return [_call(i) for i in range(number)]
    if protocol == H2:
        return [rule for rule in make(number, changed) if rule.kind != REGEX]
    own = number - len(BASE)
    rules = [_rule(i) for i in range(own)]
    if changed:
        rules[own // 2] = _rule(own + len(MIX) * SERVICES)
    return list(BASE) + rules


def targets(rules):
    """A path for each rule, those that are allowed in all versions of these rules."""
    return [rule.target for rule in rules if rule.target]
