// `node scenarios.cjs NAME URL`: things that happen while a tunnel is made, or instead; prints what the program saw.
'use strict';

const http = require('http');
const https = require('https');
const net = require('net');
const { createRequire } = require('module');

const need = createRequire(`${process.env.CLIENTS}/`);
const library = (url) => (url.startsWith('https') ? https : http);
const events = (request) => {
  const seen = [];
  for (const name of ['socket', 'timeout', 'response', 'close']) request.on(name, () => seen.push(name));
  request.on('error', (error) => seen.push(`error ${error.code}`));
  return seen;
};
const closed = (request) => new Promise((resolve) => request.once('close', resolve));
const get = (url, options = {}) =>
  new Promise((resolve, reject) => {
    const request = library(url).get(url, options, (response) => {
      let body = '';
      const { localPort: port } = response.socket;
      response.on('data', (part) => (body += part)).on('end', () => resolve({ body, port }));
    });
    request.on('error', reject);
  });
// Resolves when the proxy, which says nothing, has got the CONNECT: the test writes to stdin then.
const asked = () =>
  new Promise((resolve) => {
    process.stdin.once('data', () => {
      process.stdin.destroy();
      resolve();
    });
  });
const failure = (error) => ({ code: error.code, statusCode: error.statusCode, egretError: error.egretError, message: error.message });

const scenarios = {
  async failure(url) {
    return get(url).then(() => 'answered', failure);
  },
  async 'fetch failure'(url) {
    return fetch(url).then(() => 'answered', (error) => failure(error.cause));
  },
  async 'reuses a tunnel'(url) {
    const agent = new (library(url).Agent)({ keepAlive: true });
    const ports = [];
    for (let i = 0; i < 5; i += 1) ports.push((await get(url, { agent })).port);
    agent.destroy();
    return new Set(ports).size;
  },
  async 'fetch reuses a tunnel'(url) {
    for (let i = 0; i < 5; i += 1) await (await fetch(url)).text();
    return 'done';
  },
  async 'keeps maxSockets'(url) {
    const agent = new (library(url).Agent)({ keepAlive: true, maxSockets: 2 });
    const answers = await Promise.all(Array.from({ length: 12 }, () => get(url, { agent })));
    const left = [agent.totalSocketCount, Object.keys(agent.requests).length];
    agent.destroy();
    return { answers: answers.length, tunnels: new Set(answers.map((answer) => answer.port)).size, left };
  },
  async 'a queue survives refusals'(url) {
    const agent = new (library(url).Agent)({ keepAlive: true, maxSockets: 1 });
    const answers = await Promise.all(Array.from({ length: 6 }, () => get(url, { agent }).then(() => 'answered', failure)));
    return { answers, left: [agent.totalSocketCount, Object.keys(agent.sockets).length, Object.keys(agent.requests).length] };
  },
  async 'timeout option'(url) {
    const request = library(url).get(url, { timeout: 200, agent: new (library(url).Agent)() });
    const seen = events(request);
    request.on('timeout', () => request.destroy());
    await closed(request);
    return seen;
  },
  async 'timeout set later'(url) {
    const request = library(url).get(url, { agent: new (library(url).Agent)() });
    const seen = events(request);
    await asked();
    request.setTimeout(20, () => request.destroy(Object.assign(new Error('mine'), { code: 'MINE' })));
    await closed(request);
    return seen;
  },
  async destroyed(url) {
    const request = library(url).get(url, { agent: new (library(url).Agent)() });
    const seen = events(request);
    await asked();
    request.destroy();
    await closed(request);
    return seen;
  },
  async aborted(url) {
    const control = new AbortController();
    const request = library(url).get(url, { signal: control.signal, agent: new (library(url).Agent)() });
    const seen = events(request);
    await asked();
    control.abort();
    await closed(request);
    return seen;
  },
  async 'fetch aborted'(url) {
    const control = new AbortController();
    asked().then(() => control.abort(new DOMException('late', 'TimeoutError')));
    return fetch(url, { signal: control.signal }).then(() => 'answered', (error) => error.name);
  },
  async 'own proxy agent'(url) {
    const { HttpsProxyAgent } = need('https-proxy-agent');
    return (await get(url, { agent: new HttpsProxyAgent(process.env.HTTPS_PROXY) })).body.length > 0;
  },
  async 'own connection'(url) {
    const { port } = new URL(url);
    let calls = 0;
    const createConnection = () => ((calls += 1), net.connect(Number(port), '127.0.0.1'));
    const agent = new http.Agent();
    agent.createConnection = createConnection;
    await get(url, { createConnection });
    await get(url, { agent });
    return calls;
  },
  async 'unix socket'() {
    const path = `${process.env.TMP_FOLDER}/socket`;
    const server = http.createServer((_, response) => response.end('local')).listen(path);
    const { body } = await new Promise((resolve, reject) => {
      const done = (response) => response.on('data', (part) => resolve({ body: String(part) }));
      http.get({ socketPath: path, path: '/' }, done).on('error', reject);
    });
    server.close();
    return body;
  },
  async 'asynchronous agent'(url) {
    class Slow extends library(url).Agent {
      createConnection(options, callback) {
        setTimeout(() => super.createConnection(options, callback), 10);
      }
    }
    return (await get(url, { agent: new Slow() })).body.length > 0;
  },
  async 'synchronous connection'(url) {
    const { hostname, port } = new URL(url);
    const socket = new http.Agent().createConnection({ host: hostname, port: Number(port) });
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    socket.destroy();
    return 'connected';
  },
  async upload(url) {
    const body = Buffer.alloc(2 << 20, 'x');
    return new Promise((resolve, reject) => {
      const request = library(url).request(url, { method: 'POST', headers: { 'Content-Length': body.length } }, (response) => {
        let length = 0;
        response.on('data', (part) => (length += part.length)).on('end', () => resolve(length));
      });
      request.on('error', reject).end(body);
    });
  },
  async 'fetch upload'(url) {
    return (await (await fetch(url, { method: 'POST', body: Buffer.alloc(2 << 20, 'x') })).arrayBuffer()).byteLength;
  },
  async 'strange host'(url) {
    const { port } = new URL(url);
    const host = 'localhost:1 HTTP/1.1\r\nX-Smuggled: 1\r\n\r\nlocalhost';
    return new Promise((resolve) => {
      library(url).get({ host, port, path: '/', headers: { Host: 'x' } }).on('error', (error) => resolve(failure(error)));
    });
  },
  async 'exits by itself'(url) {
    await get(url);
    await (await fetch(url)).text();
    return 'done';
  },
};

const [, , name, url] = process.argv;
scenarios[name](url)
  .then(
    (answer) => console.log(JSON.stringify(answer)),
    (error) => console.log(JSON.stringify({ threw: `${error.name}: ${error.message}`, cause: String(error.cause || '') })),
  )
  .then(() => {
    if (name === 'fetch aborted') process.exit(); // undici cannot take back a connection that it has asked for
  });
