#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# See curl.sh.
for url; do
	body=$(mktemp)
	status=$(wget -q --no-proxy --tries=1 --timeout=20 --server-response --content-on-error \
		-O "$body" "$url" 2>&1 | sed -n 's,^ *HTTP/1\.[01] \([0-9]*\).*,\1,p')
	echo "${status:-0} $(od -An -v -tx1 "$body" | tr -d ' \n')"
	rm -f "$body"
done
