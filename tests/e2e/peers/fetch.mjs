// SPDX-License-Identifier: Apache-2.0
// See curl.sh.
for (const url of process.argv.slice(2)) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(20000) });
    console.log(response.status, Buffer.from(await response.arrayBuffer()).toString("hex"));
  } catch (error) {
    console.log(0, Buffer.from(String(error.cause ?? error)).toString("hex"));
  }
}
process.exit(0);
