// SPDX-License-Identifier: Apache-2.0
// WebSockets over HTTP/2 (RFC 8441), as far as a proxy sees them: streams that CONNECT opens.
//
// websocket_h2.mjs serve            prints its port, says back what it hears, until its input ends
// websocket_h2.mjs call PORT PATH...  one stream for each path, all on one connection: prints the
//                                     path, the status, and what came back
import http2 from 'node:http2';

function serve() {
  const server = http2.createServer({ settings: { enableConnectProtocol: true } });
  server.on('stream', (stream, headers) => {
    const opens = headers[':method'] === 'CONNECT' && headers[':protocol'] === 'websocket';
    stream.respond({ ':status': opens ? 200 : 405 }, { endStream: !opens });
    if (opens)
      stream.pipe(stream);
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  process.stdin.on('end', () => process.exit()).resume();
}

function open(session, path) {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': path,
      'sec-websocket-version': '13',
    }, { endStream: false });
    let status, heard = '';
    stream.on('response', headers => {
      status = headers[':status'];
      if (status === 200) {
        stream.write('hello');
        stream.end(' there');
      }
    });
    stream.on('data', chunk => { heard += chunk; });
    stream.on('error', reject);
    stream.on('close', () => resolve(`${path} ${status} ${heard}`));
    stream.resume();
  });
}

async function call(port, ...paths) {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  await new Promise(resolve => session.once('remoteSettings', resolve));
  for (const line of await Promise.all(paths.map(path => open(session, path))))
    console.log(line);
  session.close();
}

const [what, ...rest] = process.argv.slice(2);
if (what === 'serve')
  serve();
else
  await call(...rest);
