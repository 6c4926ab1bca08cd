# SPDX-License-Identifier: Apache-2.0
"""An ordinary program that knows nothing of sluice: client.py PORT OTHER_PORT.

Prints one line for each thing it did: the method, the path, and what came back."""
import errno
import http.client
import socket
import sys
import urllib.error
import urllib.request


def keep_alive(port):
    """One connection, several requests: each is judged for itself, and a denial does not end it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for method, path in (("GET", "/api/items"), ("DELETE", "/api/items/42"),
                         ("GET", "/api/items/42")):
        connection.request(method, path)
        response = connection.getresponse()
        response.read()
        print(method, path, response.status)
    connection.close()


def one_request(port, path):
    # No proxy from the environment: there is none, and sluice needs none.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            print("GET", path, response.status)
    except urllib.error.HTTPError as error:
        print("GET", path, error.code)


def other_service(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        print("connect", port, "connected")
    except OSError as error:
        print("connect", port, errno.errorcode.get(error.errno, str(error)))


def main():
    port, other_port = int(sys.argv[1]), int(sys.argv[2])
    keep_alive(port)
    one_request(port, "/static/site.css")
    other_service(other_port)


if __name__ == "__main__":
    main()
