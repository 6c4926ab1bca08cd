// SPDX-License-Identifier: Apache-2.0
// The service of doors, as doors.py has it, on @grpc/grpc-js.
import { setTimeout as sleep } from "node:timers/promises";
import { text } from "node:stream/consumers";
import grpc from "@grpc/grpc-js";

const SERVICE = "/doors.Manager/";
const ODD = ["00ff", "61", "6162", Buffer.from([...Array(256).keys()]).toString("hex")];
const OPTIONS = {
  "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1,
  "grpc.keepalive_time_ms": 10000, "grpc.keepalive_timeout_ms": 20000,
  "grpc.keepalive_permit_without_calls": 1,
};
const identity = (message) => message;

// --- the server ---

function echoesOf(metadata) {
  const echoed = new grpc.Metadata();
  for (const name of ["door", "door-bin"])
    for (const value of metadata.get(name))
      echoed.add("echo" + name.slice(4), value);
  return echoed;
}

function metadataOf(fields) {
  const metadata = new grpc.Metadata();
  for (const [name, value] of fields)
    metadata.add(name, value);
  return metadata;
}

function refuse(call) {
  call.emit("error", { code: grpc.status.PERMISSION_DENIED, details: "Access denied" });
}

function talk(call) {
  call.on("data", (message) => call.write(message));
  call.on("end", () => call.end());
}

const LAST = metadataOf([["left", "yes"], ["left-bin", Buffer.from([0, 1, 2])]]);
let gone = 0;

// Name: [client streams, server streams, handler]
const methods = (deny) => ({
  Get: [false, false, (call, reply) => {
    call.sendMetadata(echoesOf(call.metadata));
    reply(null, call.request, LAST);
  }],
  Watch: [false, true, (call) => {
    for (let n = 0; n < Number(call.request); n++)
      call.write(Buffer.from(String(n)));
    call.end();
  }],
  Count: [true, false, (call, reply) => {
    let sum = 0;
    call.on("data", (message) => { sum += message.length; });
    call.on("end", () => reply(null, Buffer.from(String(sum))));
  }],
  Talk: [true, true, talk],
  Open: [true, true, deny ? refuse : talk],
  Fail: [false, false, (call, reply) => reply({
    code: grpc.status.NOT_FOUND, details: "no such door: \u00e9, 100%",
    metadata: metadataOf([["why-bin", Buffer.from([0, 255])]]),
  })],
  Left: [false, false, (call, reply) => {
    const left = call.getDeadline() - Date.now();
    reply(null, Buffer.from(left > 5000 && left <= 30000 ? "yes" : "no"));
  }],
  Slow: [false, false, () => {}],
  Hold: [true, true, (call) => {
    call.on("cancelled", () => { gone++; });
    call.write(Buffer.from("held"));
  }],
  Gone: [false, false, async (call, reply) => {
    while (gone < Number(call.request) && !call.cancelled)
      await sleep(10);
    reply(null, Buffer.from(String(gone)));
  }],
  Pack: [false, false, (call, reply) => reply(null, call.request)],
});

async function serve(deny, age) {
  const server = new grpc.Server({ ...OPTIONS, ...(age && { "grpc.max_connection_age_ms": 500 }) });
  const definition = {}, handlers = {};
  for (const [name, [requestStream, responseStream, handler]] of Object.entries(methods(deny))) {
    definition[name] = {
      path: SERVICE + name, requestStream, responseStream,
      requestSerialize: identity, requestDeserialize: identity,
      responseSerialize: identity, responseDeserialize: identity,
    };
    handlers[name] = handler;
  }
  server.addService(definition, handlers);
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error)
      throw error;
    console.log(port);
  });
  await text(process.stdin);
  server.forceShutdown();
}

// --- the client ---

function pattern(size) {
  const out = Buffer.alloc(size);
  for (let n = 0; n < size; n++)
    out[n] = n % 251;
  return out;
}

const within = (ms) => ({ deadline: Date.now() + ms });

// A stream, whose verbs are promises.
class Stream {
  constructor(client, name, ms = 60000) {
    this.call = client.makeBidiStreamRequest(SERVICE + name, identity, identity,
      new grpc.Metadata(), within(ms));
    this.came = [];
    this.waiting = [];
    this.call.on("data", (message) => this.tell(message));
    this.call.on("error", () => {});          // it comes as the status, too
    this.status = new Promise((resolve) => this.call.on("status", resolve));
    this.status.then(() => this.waiting.splice(0).forEach((resolve) => resolve(null)));
  }

  tell(message) {
    const waiting = this.waiting.shift();
    if (waiting)
      waiting(message);
    else
      this.came.push(message);
  }

  write(message) {
    this.call.write(Buffer.from(message));
  }

  // The next message, or null.
  read() {
    if (this.came.length > 0)
      return Promise.resolve(this.came.shift());
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.status.then(() => resolve(null));
    });
  }

  // Half-close, and read to the end. Resolves to the code.
  async end() {
    this.call.end();
    return (await this.status).code;
  }
}

// One message on each, and how many of them come back.
async function echoes(streams, word) {
  for (const stream of streams)
    stream.write(word);
  const replies = await Promise.all(streams.map((stream) => stream.read()));
  return replies.filter((reply) => reply && reply.toString() === word).length;
}

async function ended(streams) {
  return (await Promise.all(streams.map((stream) => stream.end()))).filter((c) => c === 0).length;
}

class Client {
  constructor(port) {
    this.address = `127.0.0.1:${port}`;
    this.client = new grpc.Client(this.address, grpc.credentials.createInsecure(), OPTIONS);
  }

  // A unary call; resolves to all that came of it.
  start(name, message, { ms = 20000, metadata = new grpc.Metadata(), client = this.client } = {}) {
    let call, first = null;
    const done = new Promise((resolve) => {
      call = client.makeUnaryRequest(SERVICE + name, identity, identity, Buffer.from(message),
        metadata, within(ms), (_, reply) => call.on("status", (status) =>
          resolve({ reply, first, last: status.metadata, ...status })));
      call.on("metadata", (metadata) => { first = metadata; });
    });
    return { call, done };
  }

  stream(name, ms) {
    return new Stream(this.client, name, ms);
  }

  streams(count, name, ms) {
    return Array.from({ length: count }, () => this.stream(name, ms));
  }

  async unary() {
    const metadata = metadataOf([["door", "front"], ["door", "second"],
      ...ODD.map((value) => ["door-bin", Buffer.from(value, "hex")])]);
    const { code, details, reply, first, last } =
      await this.start("Get", "front", { metadata }).done;
    if (code !== 0)
      return `${code}: ${details}`;
    return [reply, first.get("echo").join(", "),
      first.get("echo-bin").map((value) => value.toString("hex")).join(","),
      last.get("left").join(), last.get("left-bin").map((value) => value.toString("hex")).join(),
    ].join(" ");
  }

  async watch(count) {
    const call = this.client.makeServerStreamRequest(SERVICE + "Watch", identity, identity,
      Buffer.from(String(count)), new grpc.Metadata(), within(60000));
    let good = 0;
    for await (const message of call)
      good += Number(message) === good;
    return good;
  }

  count(count) {
    return new Promise((resolve) => {
      const call = this.client.makeClientStreamRequest(SERVICE + "Count", identity, identity,
        new grpc.Metadata(), within(60000),
        (error, reply) => resolve(error ? `${error.code}: ${error.details}` : reply.toString()));
      for (let n = 0; n < count; n++)
        call.write(pattern(70000));
      call.end();
    });
  }

  async talk(count) {
    const streams = this.streams(1, "Talk");
    let good = 0;
    for (let n = 0; n < count; n++)
      good += await echoes(streams, `word ${n}`);
    return `${good} ${await streams[0].end()}`;
  }

  async denied() {
    const { code, details } = await this.start("Open", "vault").done;
    return `${code}: ${details}`;
  }

  async denied_stream() {
    const stream = this.stream("Open", 20000);
    for (let n = 0; n < 5; n++)
      stream.write(pattern(70000));
    stream.call.end();
    const message = await stream.read();
    const { code, details } = await stream.status;
    return message ? `a message of ${message.length} bytes` : `${code}: ${details}`;
  }

  async fail() {
    const { code, details, last } = await this.start("Fail", "").done;
    return `${code}: ${details} ${last.get("why-bin").map((v) => v.toString("hex")).join()}`;
  }

  async unknown() {
    return (await this.start("Paint", "").done).code;
  }

  async deadline(ms) {
    const { reply } = await this.start("Left", "").done;
    return `${reply} ${(await this.start("Slow", "", { ms }).done).code}`;
  }

  // Streams on which the server has said something, and a call that it may not even know.
  async cancel(count) {
    const streams = this.streams(count, "Hold");
    const held = await Promise.all(streams.map((stream) => stream.read()));
    for (const stream of streams)
      stream.call.cancel();
    const codes = await Promise.all(streams.map(async (stream) => (await stream.status).code));
    const { reply } = await this.start("Gone", String(count)).done;
    const slow = this.start("Slow", "");
    await sleep(20);
    slow.call.cancel();
    codes.push((await slow.done).code);
    return [held.filter((m) => m && m.toString() === "held").length, reply,
      ...new Set(codes.sort())].join(" ");
  }

  async echo(name, size, how) {
    const message = pattern(size);
    const { code, details, reply } = await this.start(name, message, { ms: 120000, ...how }).done;
    if (code !== 0)
      return `${code}: ${details}`;
    return message.equals(reply) ? "same" : "different";
  }

  large(size) {
    return this.echo("Get", size);
  }

  // Streams that are all open at once.
  async many(count) {
    const streams = this.streams(count, "Talk", 120000);
    const good = await echoes(streams, "one") + await echoes(streams, "two");
    return `${good} ${await ended(streams)}`;
  }

  // Allowed and denied calls at once, while five streams are open.
  async mixed(count) {
    const streams = this.streams(5, "Talk");
    let live = await echoes(streams, "before");
    const calls = Array.from({ length: count }, (_, n) => this.start(n % 2 ? "Open" : "Get",
      String(n), { ms: 60000, metadata: metadataOf([["growing", String(n % 70).repeat(20)]]) }));
    live += await echoes(streams, "meanwhile");
    const results = await Promise.all(calls.map((call) => call.done));
    const good = results.filter(({ code, reply }, n) =>
      n % 2 === 0 && code === 0 && reply.toString() === String(n)).length;
    const denied = results.filter(({ code }, n) => n % 2 === 1 && code === 7).length;
    live += await echoes(streams, "after");
    live += await ended(streams);
    return `${good} ${denied} ${live}`;
  }

  // Compression is a channel's matter here, so this is another one.
  async gzip(size) {
    const client = new grpc.Client(this.address, grpc.credentials.createInsecure(),
      { ...OPTIONS, "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip });
    const result = await this.echo("Pack", size, { client });
    client.close();
    return result;
  }

  // Says on standard error when the policy may change; it has to take Hold away then.
  async revoked() {
    const talk = this.streams(1, "Talk"), hold = this.stream("Hold");
    let good = await echoes(talk, "before");
    await hold.read();
    console.error("holding");
    const codes = [(await hold.status).code, (await this.stream("Hold").status).code];
    const { reply } = await this.start("Gone", "1").done;
    good += await echoes(talk, "after");
    return `${codes[0]} ${codes[1]} ${reply} ${good} ${await talk[0].end()}`;
  }

  // Calls without a pause, on whatever connections. Returns how many had a wrong end.
  async steady(ms) {
    let wrong = 0;
    for (const until = performance.now() + ms; performance.now() < until;) {
      const results = await Promise.all(Array.from({ length: 6 }, (_, n) =>
        this.start(n % 2 ? "Open" : "Get", "steady").done));
      wrong += results.filter(({ code }, n) => code !== 7 * (n % 2)).length;
    }
    return wrong;
  }

  async idle(seconds) {
    const streams = this.streams(1, "Talk", seconds * 1000 + 60000);
    let good = await echoes(streams, "before");
    await sleep(seconds * 1000);
    good += await echoes(streams, "after");
    return `${good} ${await streams[0].end()}`;
  }
}

async function call(port, asked) {
  const client = new Client(port), results = {};
  for (const word of asked) {
    const [name, number] = word.split("=");
    const began = performance.now();
    try {
      results[name] = String(await client[name](Number(number ?? 0)));
    } catch (error) {
      results[name] = String(error);
    }
    console.error(`${name} ${((performance.now() - began) / 1000).toFixed(2)} s`);
  }
  console.log(JSON.stringify(results));
  client.client.close();
}

const [verb, ...rest] = process.argv.slice(2);
if (verb === "serve")
  await serve(rest.includes("deny"), rest.includes("age"));
else
  await call(rest[0], rest.slice(1));
