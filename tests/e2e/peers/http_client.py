# SPDX-License-Identifier: Apache-2.0
"""See curl.sh. One connection per server, kept alive, as http.client does it."""
import http.client
import sys
import urllib.parse

connections = {}
for url in sys.argv[1:]:
    parts = urllib.parse.urlsplit(url)
    where = parts.hostname, parts.port
    connection = connections.setdefault(where, http.client.HTTPConnection(*where, timeout=20))
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        print(response.status, response.read().hex())
    except OSError as error:
        print(0, repr(error).encode().hex())
