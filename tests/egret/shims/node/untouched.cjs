// Prints what URLs without a placeholder become, and what errors say: the same with the preload and without it.
'use strict';

const http = require('http');
const https = require('https');
const url = require('url');

const TEXTS = [
  'http://h/p?a=1#frag', 'http://h/#', 'http://h/#SECRETS.X', 'http://h/?q=SECRETS.X&r=VARS.Y', 'http://h/#{SECRETS.x}',
  'http://h/#{SECRETS.X', 'http://h/#{ SECRETS.X }', 'http://h/#{secrets.X}', 'http://h/#{SECRETS.1X}', 'http://h/#{SECRETS.}',
  'http://h/%2523%7BSECRETS.X%7D', 'http://h/#{SECRETS.X>', 'http://h/#[SECRETS.X]', `http://h/#{SECRETS.${'A'.repeat(129)}}`,
  'http://h/?a=%23%7Bother%7D#f', 'data:text/plain,#{SECRETS.X}', 'javascript:"#{SECRETS.X}"', ' file:///tmp/#{SECRETS.X}',
  'mailto:a?b=#{SECRETS.X}', 'http://ü/ü?ü#ü', 'http://', '//h/p', '', 'h', 'http://h:99999/', 'http://[::1', 'a b', '\u0000',
];
const ODD = [undefined, null, 1, {}, [], Symbol.iterator, { href: 'http://h/#f' }, new URL('http://h/#f'), new String('http://h/#f')];

const seen = (f) => {
  try {
    const value = f();
    return value instanceof URL || value instanceof url.Url ? { ...url.urlToHttpOptions?.(value), href: value.href, hash: value.hash } : value;
  } catch (error) {
    return `${error.name} ${error.code}: ${error.message}`;
  }
};

const results = [];
for (const text of [...TEXTS, ...ODD]) {
  results.push(seen(() => new URL(text)), seen(() => new URL(text, 'http://b/c')), seen(() => URL(text)), seen(() => URL.canParse(text)));
  results.push(seen(() => URL.parse?.(text)), seen(() => url.parse(text)), seen(() => url.resolve('http://b/c', text)));
  results.push(seen(() => http.request(text).on('error', () => {}).destroy().path), seen(() => https.get(text).on('error', () => {}).destroy().path));
  results.push(seen(() => Object.assign(new URL('http://h/'), { href: text }).href), seen(() => Object.assign(new URL('http://h/'), { search: text }).href));
}
for (const [name, value] of Object.entries({ URL, parse: url.parse, get: http.get, ClientRequest: http.ClientRequest })) {
  results.push([name, value.name, value.length, typeof value, Object.getOwnPropertyNames(value).sort()]);
}
class Mine extends URL {}
results.push(new Mine('http://h/') instanceof URL, new URL('http://h/').constructor === URL, URL === url.URL, URL.prototype.constructor === URL);
results.push(new Mine('http://h/').constructor === Mine, Object.keys(url).sort(), Object.keys(http).sort(), Object.keys(globalThis));
results.push(http.get('http://localhost:1/').on('error', () => {}).destroy() instanceof http.ClientRequest);
results.push(seen(() => new http.ClientRequest({ port: 1 }).on('error', () => {}).destroy().path), seen(() => http.request({ path: 'a b' })), process.execArgv, require.resolve('url'));
const options = Object.freeze({ host: 'localhost', port: 1, path: '/#f' });
results.push(http.request(options).on('error', () => {}).destroy().path);
console.log(JSON.stringify(results, (_, value) => (value === undefined ? 'undefined' : value), 1));
