// The proxy for http and https: every agent, the program's own included, connects through a tunnel, http:// too.
//
// All agents end in Agent.prototype.createConnection, and most must get a socket from it there and then, while a tunnel
// takes a while. So the tunnel is made first: createSocket, which may take its time, runs once; where that arrives at our
// createConnection without a tunnel, it breaks off (TunnelNeeded), and runs again when there is one. An agent that never
// arrives there (agent-base and its proxy agents, Unix sockets, a createConnection of its own) is left as it is, and so are
// agents with `proxyEnv` (Node 22.21 and later does those) and hosts in NO_PROXY.
'use strict';

const http = require('http');
const https = require('https');
const { Socket } = require('net');
const { open } = require('./tunnel.cjs');

class TunnelNeeded extends Error {
  constructor(proxy, options) {
    super('a tunnel is needed');
    Object.assign(this, { proxy, options });
  }
}

let attempt = null; // { tunnel } while createSocket runs

/** The options of a createConnection call: (options, callback), or https's (port, host, options, callback). */
function optionsOf(args) {
  const given = args.find((argument) => argument !== null && typeof argument === 'object') || {};
  const [port, host] = args;
  return { ...given, ...(typeof port === 'number' && { port }), ...(typeof host === 'string' && { host }) };
}

function patchConnection(Agent, protocol, proxyFor) {
  const direct = Agent.prototype.createConnection;
  const through = (agent, options, tunnel) => {
    const secure = protocol === 'https:';
    const socket = secure ? Reflect.apply(direct, agent, [{ ...options, socket: tunnel }]) : tunnel;
    // Node sets a request's timer while it connects; this socket was connected before.
    return options.timeout ? socket.setTimeout(options.timeout) : socket;
  };
  Agent.prototype.createConnection = function createConnection(...args) {
    const options = optionsOf(args);
    const callback = args[args.length - 1];
    const ours = !options.socketPath && !options.socket && !this?.options?.proxyEnv;
    const proxy = ours ? proxyFor(protocol, options.host || 'localhost', Number(options.port)) : null;
    if (!proxy || !(attempt || typeof callback === 'function')) return Reflect.apply(direct, this, args);
    if (!attempt) {
      open(proxy, options, (error, tunnel) => (error ? callback(error) : callback(null, through(this, options, tunnel))));
      return undefined;
    }
    if (!attempt.tunnel) throw new TunnelNeeded(proxy, options);
    const { tunnel } = attempt;
    attempt.tunnel = null;
    return through(this, options, tunnel);
  };
}

/** Run createSocket with or without a tunnel in hand; what it throws for want of one is returned. */
function run(createSocket, agent, args, tunnel) {
  const outer = attempt;
  attempt = { tunnel };
  try {
    Reflect.apply(createSocket, agent, args);
  } catch (error) {
    if (!(error instanceof TunnelNeeded)) throw error;
    return error;
  } finally {
    attempt.tunnel?.destroy(); // the agent connected some other way this time
    attempt = outer;
  }
  return null;
}

/**
 * While its tunnel is made a request has no socket, and Node would neither time it out nor notice that it was destroyed.
 * Both are done here until the returned function is called.
 */
function accompany(request, giveUp) {
  let timer;
  const arm = (milliseconds) => {
    clearTimeout(timer);
    if (milliseconds > 0) timer = setTimeout(() => request.emit('timeout'), milliseconds);
  };
  const { setTimeout: keep, destroy } = request;
  const meanwhile = {
    setTimeout: (milliseconds, callback) => (arm(milliseconds), Reflect.apply(keep, request, [milliseconds, callback])),
    destroy: (error) => (Reflect.apply(destroy, request, [error]), giveUp(error), request),
  };
  Object.assign(request, meanwhile);
  arm(request.timeout);
  return () => {
    clearTimeout(timer);
    for (const name of Object.keys(meanwhile)) if (request[name] === meanwhile[name]) delete request[name];
  };
}

/** Hold a place in the agent's count, so that maxSockets counts tunnels in the making; returns how to leave it. */
function holdPlace(agent, options) {
  const all = { ...options, ...agent.options };
  const name = agent.getName(all);
  const place = new Socket();
  (agent.sockets[name] ||= []).push(place);
  agent.totalSocketCount += 1;
  return {
    fail: (request) => {
      const queue = agent.requests[name] || [];
      if (queue.includes(request)) queue.splice(queue.indexOf(request), 1); // Node leaves it in there, for ever
      if (agent.requests[name] && !queue.length) delete agent.requests[name];
      agent.totalSocketCount -= 1;
      agent.removeSocket(place, all); // and let the next one have its turn
    },
    succeed: () => {
      const left = agent.sockets[name].filter((socket) => socket !== place);
      if (left.length) agent.sockets[name] = left;
      else delete agent.sockets[name];
      agent.totalSocketCount -= 1;
    },
  };
}

function patchSockets() {
  const { createSocket } = http.Agent.prototype;
  http.Agent.prototype.createSocket = function (request, options, callback) {
    const needed = run(createSocket, this, [request, options, callback], null);
    if (!needed) return;
    const place = holdPlace(this, options);
    let leave = () => {};
    const giveUp = open(needed.proxy, needed.options, (error, tunnel) => {
      leave();
      if (error) return callback(error), place.fail(request);
      place.succeed();
      try {
        run(createSocket, this, [request, options, callback], tunnel);
      } catch (fault) {
        callback(fault);
      }
    });
    leave = accompany(request, giveUp);
  };
}

/** `ws` brings a connect function for want of an agent; without it the request goes the way of all others. */
function withoutOwnConnect(options) {
  const own = options && typeof options === 'object' && typeof options.createConnection === 'function';
  if (!own || options.agent || options.socketPath || !/^(?:net|tls)Connect$/.test(options.createConnection.name)) return options;
  return Object.assign(Object.create(Object.getPrototypeOf(options)), options, { createConnection: undefined });
}

function install(proxyFor) {
  patchConnection(http.Agent, 'http:', proxyFor);
  patchConnection(https.Agent, 'https:', proxyFor);
  patchSockets();
  for (const library of [http, https]) {
    for (const name of ['request', 'get']) {
      const apply = (call, self, args) => Reflect.apply(call, self, args.map(withoutOwnConnect));
      library[name] = new Proxy(library[name], { apply });
    }
  }
  require('module').syncBuiltinESMExports?.();
}

module.exports = { install };
