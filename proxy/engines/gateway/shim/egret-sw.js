/* Egret's service worker: for what a page script cannot reach, which is markup, CSS, fonts, import() and frames' images.
   A file of the app's own, say /egret-sw.js, has one line,

     importScripts('https://gateway.example/egret-sw.js');

   and the page names it: <script src="https://gateway.example/s/SESSION/egret.js" data-worker="/egret-sw.js"></script>

   Requests for URLs with a placeholder go through the gateway of the page that makes them; nothing else is touched. The
   session is asked of the page's own script: nothing is kept, and pages of several sessions may share the worker. A
   request whose session nobody tells fails, and goes nowhere. */
(() => {
  'use strict';
  const NAME = '((?:SECRETS|VARS)\\.[A-Z][A-Z0-9_]{0,127})';
  const PLACEHOLDER = RegExp(`(?:#|%23)(?:(?:{|%7[Bb])${NAME}(?:}|%7[Dd])|(?:<|%3[Cc])${NAME}(?:>|%3[Ee]))`, 'g');
  const encode = (text) => text.replace(PLACEHOLDER, (_, braces, angles) => `%23%7B${braces || angles}%7D`);
  const bases = new Map();

  const ask = (client) =>
    new Promise((done) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => done(data);
      setTimeout(done, 10_000);
      client.postMessage({ egret: 'base' }, [port2]);
    });
  const baseOf = async (id) => {
    const client = await self.clients.get(id);
    if (client?.type === 'window') {
      if (!bases.has(id)) bases.set(id, ask(client));
      return bases.get(id);
    }
    /* A worker's messages are the app's. Its session is its page's, where that is no question. */
    const pages = await self.clients.matchAll({ type: 'window' });
    const known = new Set(await Promise.all(pages.map((each) => baseOf(each.id))));
    return known.size === 1 ? [...known][0] : undefined;
  };

  const reach = async ({ request, clientId }) => {
    const base = await baseOf(clientId);
    if (!base) {
      bases.delete(clientId);
      console.warn('egret cannot reach a URL with a placeholder: load egret.js in the page (docs/gateway.md)');
      return Response.error();
    }
    const { method, headers, cache, signal } = request;
    const body = ['GET', 'HEAD'].includes(method) ? undefined : await request.arrayBuffer();
    const there = base + encode(request.url).replace('://', '/');
    return fetch(there, { method, headers, cache, signal, body, mode: 'cors', credentials: 'omit' });
  };

  self.addEventListener('install', () => self.skipWaiting());
  self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
  self.addEventListener('fetch', (event) => {
    const { origin, pathname } = new URL(event.request.url);
    /* The page script's own requests are there already. */
    if (event.request.url.search(PLACEHOLDER) < 0 || origin === self.origin || /\/s\/egs_[^/]+\//.test(pathname)) return;
    event.stopImmediatePropagation();
    event.respondWith(reach(event));
  });
})();
