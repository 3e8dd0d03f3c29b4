// One CONNECT tunnel through a proxy.
'use strict';

const http = require('http');
const net = require('net');
const tls = require('tls');

const TIMEOUT = 30_000; // milliseconds until a proxy that says nothing is given up
const AUTHORITY = /^[^\s/?#@\\]+$/; // what may stand in a CONNECT line: no way to smuggle in a second one

const { request } = http; // as it is at start: a mock that a test puts in later is not asked

function failure(text, extra) {
  return Object.assign(new Error(text), { code: 'ERR_PROXY_TUNNEL' }, extra);
}

function reach(proxy) {
  const at = { host: proxy.host, port: proxy.port };
  if (!proxy.secure) return net.connect(at);
  return tls.connect({ ...at, servername: net.isIP(proxy.host) ? '' : proxy.host, ALPNProtocols: ['http/1.1'] });
}

/**
 * Ask `proxy` for a tunnel to host:port. `done(error)` or `done(null, socket)` is called once, never before this returns.
 * Errors have the code ERR_PROXY_TUNNEL, and with a refusal `statusCode` and `egretError`, or they are the network's.
 * Returns a function that gives up, for a reason of the caller's or none.
 */
function open(proxy, { host, port }, done) {
  const name = String(host).replace(/^\[(.*)\]$/, '$1');
  const authority = `${net.isIPv6(name) ? `[${name}]` : name}:${port}`;
  if (!AUTHORITY.test(authority)) {
    process.nextTick(done, failure('no proxy can be asked for a host of this name'));
    return () => {};
  }
  const headers = { Host: authority, ...(proxy.authorization && { 'Proxy-Authorization': proxy.authorization }) };
  const asked = request({
    method: 'CONNECT', path: authority, headers, setHost: false,
    host: proxy.host, port: proxy.port, agent: null, createConnection: () => reach(proxy),
  });
  const late = () => asked.destroy(failure(`no tunnel to ${authority}: the proxy did not answer in ${TIMEOUT / 1000} s`));
  const timer = setTimeout(late, TIMEOUT);
  asked.on('error', (error) => (done(error), (done = () => {})));
  asked.once('connect', (response, socket, head) => done(...outcome(authority, response, socket, head)));
  asked.once('close', () => clearTimeout(timer));
  asked.once('connect', () => clearTimeout(timer));
  asked.end();
  return (reason) => asked.destroy(reason);
}

function outcome(authority, response, socket, head) {
  const refused = response.statusCode < 200 || response.statusCode > 299;
  if (!refused && head.length === 0) return [null, socket.setNoDelay(true)];
  socket.destroy();
  if (!refused) return [failure(`no tunnel to ${authority}: the proxy spoke first in it`)];
  const egretError = response.headers['egret-error'];
  const text = `no tunnel to ${authority}: ${response.statusCode} ${egretError || response.statusMessage}`;
  return [failure(text, { statusCode: response.statusCode, egretError })];
}

module.exports = { open };
