# SPDX-License-Identifier: Apache-2.0
"""Policies that many scenes need but for a few lines."""
import textwrap

HTTP = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: {name}
spec:
  endpointSelector: {{{{}}}}
  egress:
  - toPorts:
    - ports:
      - port: "{{port}}"
        protocol: TCP
      rules:
        http:
{rules}
"""


def http_policy(name, rules):
    """To be completed by format(port=...): on that port these HTTP rules, nothing anywhere else. In
    RULES, a list in YAML, braces are doubled."""
    return HTTP.format(name=name, rules=textwrap.indent(rules.strip("\n"), " " * 8))


def ingress(*rules):
    """A policy of these rules, each a line of YAML that begins with a dash; none: nobody."""
    return document("in", ingress=rules)


def http(number, *paths, peer=""):
    """A rule of ingress or, with another PEER, of egress: on that port only these paths, each a
    pattern."""
    return (f"- {{{peer}toPorts: [{{ports: [{{port: '{number}', protocol: TCP}}], "
            f"rules: {{http: [{', '.join(f'{{path: {p}}}' for p in paths)}]}}}}]}}")


def port(number, peer="", protocol="TCP"):
    """The same with all that passes there."""
    return f"- {{{peer}toPorts: [{{ports: [{{port: '{number}', protocol: {protocol}}}]}}]}}"


def document(name, selector="{}", **directions):
    """A policy for whom SELECTOR selects, with egress, ingress or both: lists of rules, each a line
    as those above, or of none: nobody."""
    text = f"""
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: {name}}}
spec:
  endpointSelector: {selector}
"""
    for direction, rules in directions.items():
        text += f"  {direction}:" + ("".join(f"\n  {rule}" for rule in rules) or " []") + "\n"
    return text


def app(name):
    """The selector of those with the label app=NAME."""
    return f"{{matchLabels: {{app: {name}}}}}"
