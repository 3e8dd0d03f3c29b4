// A placeholder in a URL reaches the wire: `#{SECRETS.X}` becomes `%23%7BSECRETS.X%7D` before any parser sees it.
//
// fetch, Request, WebSocket, EventSource, undici, axios, got, ws and node-fetch parse with the global URL or with
// `require('url')`, so these and http(s).request, which parses inside Node, are all there is to wrap. The lazy globals
// (Request, WebSocket, …) are not touched: even to look at one loads undici, 20 to 60 ms.
//
// What holds no placeholder is passed on as the very argument it was: same result, same error, same fragment.
'use strict';

const vm = require('vm');

const NAME = '(SECRETS|VARS)\\.([A-Z][A-Z0-9_]{0,127})';
const PLACEHOLDER = new RegExp(`(?:#|%23)(?:(?:\\{|%7[Bb])${NAME}(?:\\}|%7[Dd])|(?:<|%3[Cc])${NAME}(?:>|%3[Ee]))`, 'g');
const OPAQUE = /^[\0-\x20]*(?:blob|data|file|javascript|mailto):/i; // never sent as a request target: not ours

const spell = (_, kind, name, otherKind, otherName) => `%23%7B${kind || otherKind}.${name || otherName}%7D`;

/** The same URL (or part of one) with its placeholders in the portable spelling; anything but a string is returned as is. */
function map(url) {
  if (typeof url !== 'string' || !(url.includes('SECRETS.') || url.includes('VARS.')) || OPAQUE.test(url)) return url;
  return url.replace(PLACEHOLDER, spell);
}

/** Options of http(s).request with their path mapped; the caller's object is not changed. */
function mapOptions(options) {
  if (!options || typeof options !== 'object' || map(options.path) === options.path) return options;
  return Object.assign(Object.create(Object.getPrototypeOf(options)), options, { path: map(options.path) });
}

// Node warns of url.parse() unless the caller is a dependency, and tells by the file on top of the stack. A file whose
// name begins with `node:` is passed over, so with this name for the wrapper the answer stays what it was.
const wrap = vm.runInThisContext(
  `(target, edit) => {
    const edited = (args) => {
      const count = Math.min(args.length, 2); // a URL and its base; a URL and options
      for (let i = 0; i < count; i += 1) args[i] = edit(args[i]);
      return args;
    };
    const wrapped = new Proxy(target, {
      apply: (call, self, args) => Reflect.apply(call, self, edited(args)),
      construct: (make, args, as) => Reflect.construct(make, edited(args), as === wrapped ? make : as), // make: faster
    });
    return wrapped;
  }`,
  { filename: 'node:egret/urls' },
);

/** Replace a method, and leave the property's flags as they are. Absent: nothing to do. */
function replace(owner, name, edit) {
  const property = Object.getOwnPropertyDescriptor(owner, name);
  if (property && typeof property.value === 'function') {
    Object.defineProperty(owner, name, { ...property, value: wrap(property.value, edit) });
  }
}

function replaceSetter(owner, name) {
  const property = Object.getOwnPropertyDescriptor(owner, name);
  if (!property || !property.set) return;
  Object.defineProperty(owner, name, { ...property, set: wrap(property.set, map) });
}

function installURL(url) {
  const { URL } = url;
  for (const name of ['parse', 'canParse']) replace(URL, name, map);
  for (const name of ['href', 'pathname', 'search']) replaceSetter(URL.prototype, name);
  const Mapped = wrap(URL, map);
  Object.defineProperty(URL.prototype, 'constructor', { value: Mapped, writable: true, configurable: true });
  url.URL = Mapped;
  Object.defineProperty(globalThis, 'URL', { value: Mapped, writable: true, configurable: true });
}

function install() {
  const url = require('url');
  installURL(url);
  for (const name of ['parse', 'resolve', 'resolveObject']) replace(url, name, map);
  const either = (argument) => mapOptions(map(argument));
  for (const library of [require('http'), require('https')]) {
    for (const name of ['request', 'get', 'ClientRequest']) replace(library, name, either);
  }
  require('module').syncBuiltinESMExports?.();
}

module.exports = { install, map };
