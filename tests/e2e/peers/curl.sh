#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each peer fetches the URLs it is given, one after the other, and prints for each: the status, a
# blank, and the body in hexadecimal. A URL that cannot be had gives the status 0.
for url; do
	body=$(mktemp)
	status=$(curl -sS --noproxy '*' --max-time 20 -o "$body" -w '%{http_code}' "$url") || status=0
	echo "$status $(od -An -v -tx1 "$body" | tr -d ' \n')"
	rm -f "$body"
done
