// SPDX-License-Identifier: Apache-2.0
// fetch_h2.mjs ORIGIN PATH...: all paths on one connection; prints status and length of each.
import { connect } from "node:http2";

const [origin, ...paths] = process.argv.slice(2);
const session = connect(origin);

function get(path) {
  return new Promise((resolve) => {
    const request = session.request({ ":path": path });
    let status = 0, length = 0;
    request.on("response", (headers) => { status = headers[":status"]; });
    request.on("data", (chunk) => { length += chunk.length; });
    request.on("error", (error) => { status = error.code; });
    request.on("close", () => resolve(`${status} ${length}`));
  });
}

session.on("error", (error) => { console.log(String(error)); process.exit(1); });
for (const line of await Promise.all(paths.map(get)))
  console.log(line);
session.close();
