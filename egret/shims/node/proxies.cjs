// Which proxy a host is reached by: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY as curl and Python read them.
'use strict';

const { BlockList, isIP } = require('net');

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|::1)$/;

/** Lower case first, as curl: a CGI server can be made to set HTTP_PROXY by a request header. */
const variable = (environ, name) => environ[name] || environ[name.toUpperCase()] || '';

const bare = (host) => String(host).toLowerCase().replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');

const decoded = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is meant as one
  }
};

/** A proxy as { secure, host, port, authorization }, or null for none and for a kind that is not spoken here (SOCKS). */
function parse(text) {
  if (!text) return null;
  const { URL } = require('url');
  let url;
  try {
    url = new URL(text.includes('://') ? text : `http://${text}`);
  } catch {
    return null;
  }
  if (!/^https?:$/.test(url.protocol)) return null;
  const secure = url.protocol === 'https:';
  const pair = `${decoded(url.username)}:${decoded(url.password)}`;
  return {
    secure,
    host: bare(url.hostname),
    port: Number(url.port) || (secure ? 443 : 80),
    authorization: pair === ':' ? null : `Basic ${Buffer.from(pair).toString('base64')}`,
  };
}

/** One entry of NO_PROXY as a test of (host, port): `*`, `host`, `.host`, `*.host`, any with `:port`, address, network. */
function exemption(entry) {
  if (entry === '*') return () => true;
  const [network, bits] = entry.split('/');
  if (bits !== undefined && isIP(network)) return inside(network, Number(bits));
  const [, name, port] = /^(.*?)(?::(\d+))?$/.exec(isIP(entry) ? `[${entry}]` : entry);
  const suffix = bare(name.replace(/^\*?\./, ''));
  return (host, hostPort) => (!port || Number(port) === hostPort) && (host === suffix || host.endsWith(`.${suffix}`));
}

function inside(network, bits) {
  const list = new BlockList();
  try {
    list.addSubnet(network, bits, `ipv${isIP(network)}`);
  } catch {
    return () => false;
  }
  return (host) => isIP(host) > 0 && list.check(host, `ipv${isIP(host)}`);
}

/** Read the variables once; the result maps (`http:` or `https:`, host, port) to a proxy or null: go direct. */
function chooser(environ) {
  const all = variable(environ, 'all_proxy');
  const proxies = {
    'http:': parse(variable(environ, 'http_proxy') || all),
    'https:': parse(variable(environ, 'https_proxy') || all),
  };
  const exempt = variable(environ, 'no_proxy').split(/[\s,]+/).filter(Boolean).map(exemption);
  const same = (a, b) => a === b || (LOOPBACK.test(a) && LOOPBACK.test(b));
  return (protocol, name, port) => {
    const proxy = proxies[protocol] || null;
    const host = bare(name);
    // Who speaks to a proxy by himself (axios, https-proxy-agent) connects to it: that connection is not tunnelled again.
    const itself = Object.values(proxies).some((p) => p && p.port === port && same(p.host, host));
    return !proxy || itself || exempt.some((matches) => matches(host, port)) ? null : proxy;
  };
}

/**
 * Put a password behind a session's token in the program's proxy variables. undici before 8, and so Node's own proxy
 * support up to 24, drops a user name that has none. Egret reads the user name only.
 */
function completeCredentials(environ) {
  for (const name of Object.keys(environ)) {
    if (!/_proxy$/i.test(name)) continue;
    const complete = environ[name].replace(/^(\w+:\/\/egs_[\w-]+):?@/, '$1:egret@');
    if (complete !== environ[name]) environ[name] = complete;
  }
}

module.exports = { chooser, completeCredentials };
