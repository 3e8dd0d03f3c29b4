// The proxy for fetch, WebSocket, EventSource and undici, where Node does not do it (before 22.21, or not switched on).
//
// undici keeps its dispatcher in a global symbol. Node's own copy cannot be required, but the class of the dispatcher that
// it puts there can be had from the object, and `connect` is a documented option of it in all versions. So HTTP, streaming
// and pooling stay undici's; only the sockets come from here. The copy from npm is met when it is loaded.
'use strict';

const Module = require('module');
const { isIP } = require('net');
const tls = require('tls');
const { open } = require('./tunnel.cjs');

const SLOTS = ['undici.globalDispatcher.1', 'undici.globalDispatcher.2'].map((name) => Symbol.for(name));
const seen = new Map(); // what was in a slot when it was last looked at

function connector(proxyFor) {
  return ({ protocol, hostname, port, servername }, done) => {
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const target = { host, port: Number(port) || (protocol === 'https:' ? 443 : 80) };
    const give = (error, socket) => (error ? done(error, null) : done(null, socket));
    open(proxyFor(protocol, target.host, target.port), target, (error, socket) => {
      if (error || protocol !== 'https:') return give(error, socket);
      const name = isIP(host) ? '' : servername || host;
      const secure = tls.connect({ socket, host, servername: name, ALPNProtocols: ['http/1.1'] });
      secure.once('error', give);
      secure.once('secureConnect', () => (secure.removeListener('error', give), give(null, secure)));
    });
  };
}

/** A dispatcher of the same class as `direct`: what has a proxy goes by tunnels, the rest goes to `direct`. */
function routed(direct, proxyFor) {
  const goes = (origin) => {
    if (!URL.canParse(String(origin))) return null; // undici says what is wrong with it
    const { protocol, hostname, port } = new URL(String(origin));
    return proxyFor(protocol, hostname, Number(port) || (protocol === 'https:' ? 443 : 80));
  };
  class Routed extends direct.constructor {
    dispatch(options, handler) {
      return goes(options.origin) ? super.dispatch(options, handler) : direct.dispatch(options, handler);
    }
  }
  return new Routed({ connect: connector(proxyFor) });
}

/** Replace undici's default dispatchers; one that the program or Node's own proxy support has set stays. */
function replaceDefaults(proxyFor) {
  for (const slot of SLOTS) {
    const present = globalThis[slot];
    if (present && present.constructor.name === 'Agent') globalThis[slot] = routed(present, proxyFor);
    seen.set(slot, globalThis[slot]);
  }
}

/** Replace a global function by one that sees to the dispatcher first; a lazy global is not looked at. */
function patchGlobals(ensure) {
  const { fetch } = globalThis;
  if (typeof fetch !== 'function') return;
  globalThis.fetch = new Proxy(fetch, { apply: (call, self, args) => (ensure(), Reflect.apply(call, self, args)) });
  for (const name of ['WebSocket', 'EventSource']) {
    const getter = Object.prototype.__lookupGetter__.call(globalThis, name);
    // Node 22.13 to 22.20 and 23 hide their lazy globals better: there undici is loaded at once, about 20 ms.
    if (name in globalThis && !getter) ensure();
    if (!getter) continue;
    const set = (value) => Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
    const get = () => (ensure(), getter.call(globalThis));
    Object.defineProperty(globalThis, name, { get, set, configurable: true, enumerable: false });
  }
}

/** The copy of undici that a program brings sets its default while it loads: see to it whenever a module was loaded. */
function watchModules(proxyFor) {
  const load = Module._load;
  Module._load = function (...args) {
    const loaded = Reflect.apply(load, this, args);
    if (SLOTS.some((slot) => globalThis[slot] !== seen.get(slot))) replaceDefaults(proxyFor);
    return loaded;
  };
}

const native = () =>
  process.env.NODE_USE_ENV_PROXY === '1' &&
  (process.allowedNodeEnvironmentFlags.has('--use-env-proxy') || SLOTS.some((slot) => globalThis[slot]));

function install(proxyFor) {
  watchModules(proxyFor);
  if (native()) return;
  let done = false;
  patchGlobals(() => {
    if (done) return;
    done = true;
    void globalThis.Request; // loads Node's copy of undici
    replaceDefaults(proxyFor);
  });
}

module.exports = { install };
