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
