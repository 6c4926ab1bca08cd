// SPDX-License-Identifier: Apache-2.0
// A WebSocket client that is not ours: sends messages of growing size, expects each back.
const [url, count] = process.argv.slice(2);
const socket = new WebSocket(url);
socket.binaryType = "arraybuffer";
let sent;
let number = 0;
const next = () => {
  sent = Buffer.alloc(number * number, number & 255);
  socket.send(sent);
};
socket.onopen = next;
socket.onmessage = ({ data }) => {
  if (!sent.equals(Buffer.from(data))) {
    console.log(`message ${number} came back changed`);
    process.exit(1);
  }
  if (++number < Number(count)) next();
  else socket.close(1000, "done");
};
socket.onerror = (event) => console.log("error", event.message ?? "");
socket.onclose = ({ code, reason }) => console.log("closed", code, reason, number);
