// `node clients.cjs NAME URL`: one client makes one request as its documentation shows; prints what came back.
'use strict';

const { createRequire } = require('module');
const { pathToFileURL } = require('url');
const folder = `${process.env.CLIENTS}/`;
const need = createRequire(folder);
const bring = (name) => import(pathToFileURL(need.resolve(name)));

const text = (response) =>
  new Promise((resolve, reject) => {
    let body = '';
    response.setEncoding('utf8').on('data', (part) => (body += part)).on('end', () => resolve(body)).on('error', reject);
  });
const library = (url) => require(String(url.href || url).startsWith('https') ? 'https' : 'http');
const core = (how, ...args) =>
  new Promise((resolve, reject) => {
    const request = library(args[0].real || args[0])[how](...args, (response) => text(response).then(resolve, reject));
    request.on('error', reject);
    if (how === 'request') request.end();
  });
const socket = (made) =>
  new Promise((resolve, reject) => {
    made.onmessage = (event) => (resolve(String(event.data)), made.close());
    made.onerror = (event) => reject(event.error || new Error(event.message || 'WebSocket failed'));
  });
const body = async (response) => (await response).text();
const ws = (url) => url.replace(/^http/, 'ws');
const parts = (url) => {
  const [, protocol, hostname, port, path] = /^(https?:)\/\/([^:/]+):(\d+)(.*)$/.exec(url);
  return { protocol, hostname, port, path };
};

const clients = {
  'fetch': (url) => body(fetch(url)),
  'fetch URL': (url) => body(fetch(new URL(url))),
  'fetch Request': (url) => body(fetch(new Request(url, { headers: { 'X-A': '1' } }))),
  'fetch POST': (url) => body(fetch(url, { method: 'POST', body: 'hello' })),
  'fetch stream': (url) =>
    body(fetch(url, { method: 'POST', duplex: 'half', body: new Blob(['hel', 'lo']).stream() })),
  'new URL': (url) => core('get', new URL(url)),
  'URL relative': (url) => core('get', new URL(url.replace(/^https?:\/\/[^/]+/, ''), new URL(url).origin)),
  'URL.parse': (url) => core('get', URL.parse(url)),
  'URL href': (url) => body(fetch(Object.assign(new URL('http://unused.test/'), { href: url }))),
  'URL search': (url) => body(fetch(Object.assign(new URL(url.split('?')[0]), { search: url.slice(url.indexOf('?')) }))),
  'subclass of URL': (url) => body(fetch(new (class Mine extends URL {})(url))),
  'url.parse': (url) => core('get', require('url').parse(url)),
  'url.resolve': (url) => core('get', require('url').resolve(url.replace(/\?.*/, ''), url.slice(url.indexOf('?')))),
  'http get': (url) => core('get', url),
  'http request': (url) => core('request', url),
  'http request with options': (url) => core('request', url, { method: 'GET', headers: { 'X-A': '1' } }),
  'http options': (url) => core('request', { ...parts(url), real: url }),
  'http prototype options': (url) => core('request', Object.assign(Object.create({ method: 'GET' }), parts(url), { real: url })),
  'http own agent': (url) => core('get', url, { agent: new (library(url).Agent)({ keepAlive: true, maxSockets: 1 }) }).finally(() => setImmediate(process.exit)),
  'http no agent': (url) => core('get', url, { agent: false }),
  'http imported': async (url) => {
    const { get } = await import(url.startsWith('https') ? 'node:https' : 'node:http');
    return new Promise((resolve, reject) => get(url, (r) => text(r).then(resolve, reject)).on('error', reject));
  },
  'agentkeepalive': (url) => {
    const { HttpsAgent, HttpAgent } = need('agentkeepalive');
    const agent = url.startsWith('https') ? new HttpsAgent() : new HttpAgent();
    return core('get', url, { agent }).finally(() => agent.destroy());
  },
  'worker': (url) =>
    new Promise((resolve, reject) => {
      const { Worker } = require('worker_threads');
      const code = `fetch(${JSON.stringify(url)}).then((r) => r.text()).then((t) => require('worker_threads').parentPort.postMessage(t))`;
      new Worker(code, { eval: true }).on('message', resolve).on('error', reject);
    }),
  'child process': async (url) => {
    const code = `fetch(${JSON.stringify(url)}).then((r) => r.text()).then((t) => process.stdout.write(t))`;
    const run = require('util').promisify(require('child_process').execFile);
    return (await run(process.execPath, ['-e', code])).stdout;
  },
  'axios': async (url) => (await need('axios').get(url)).data,
  'axios params': async (url) => (await need('axios').get(url, { params: { q: 'x y' } })).data,
  'axios base': async (url) => {
    const [, origin, rest] = /^(https?:\/\/[^/]+)(.*)$/.exec(url);
    return (await need('axios').create({ baseURL: origin }).get(rest)).data;
  },
  'axios fetch': async (url) => (await need('axios').get(url, { adapter: 'fetch', responseType: 'text' })).data,
  'axios no proxy': async (url) => (await need('axios').get(url, { proxy: false })).data,
  'got': async (url) => (await bring('got')).got(url).text(),
  'got stream': async (url) => text((await bring('got')).got.stream(url)),
  'node-fetch': async (url) => body((await bring('node-fetch')).default(url)),
  'superagent': async (url) => (await need('superagent').get(url).buffer(true)).text,
  'WebSocket': (url) => socket(new WebSocket(ws(url))),
  'ws': (url) => socket(new (need('ws'))(ws(url))),
  'ws URL': (url) => socket(new (need('ws'))(new URL(ws(url)))),
};
for (const version of [6, 7, 8]) {
  const undici = () => need(`undici${version}`);
  Object.assign(clients, {
    [`undici${version} request`]: async (url) => (await undici().request(url)).body.text(),
    [`undici${version} fetch`]: (url) => body(undici().fetch(url)),
    [`undici${version} stream`]: async (url) => {
      let got = '';
      const { Writable } = require('stream');
      const sink = new Writable({ write: (part, _, next) => ((got += part), next()) });
      await undici().stream(url, { method: 'GET' }, () => sink);
      return got;
    },
    [`undici${version} ProxyAgent`]: async (url) => {
      const dispatcher = new (undici().ProxyAgent)(process.env.HTTPS_PROXY);
      return (await undici().request(url, { dispatcher })).body.text();
    },
    [`undici${version} imported`]: async (url) => (await (await bring(`undici${version}`)).request(url)).body.text(),
    [`undici${version} WebSocket`]: (url) => socket(new (undici().WebSocket)(ws(url))),
    [`undici${version} after fetch`]: async (url) => {
      await body(fetch(url));
      return (await undici().request(url)).body.text();
    },
  });
}

const [, , name, url] = process.argv;
if (name === '--list') {
  console.log(JSON.stringify(Object.keys(clients)));
} else {
  Promise.resolve(clients[name](url)).then(
    (answer) => console.log(JSON.stringify({ answer })),
    (error) => console.log(JSON.stringify({ error: `${error.name}: ${error.message}`, code: error.code, cause: String(error.cause || '') })),
  );
}
