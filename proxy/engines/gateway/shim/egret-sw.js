/* Egret's service worker: for what a page script cannot reach, which is markup, CSS, fonts, import(), forms and frames' images.
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

  const ask = (client, ticket) =>
    new Promise((done) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => done(data);
      setTimeout(done, 10_000);
      client.postMessage({ egret: 'base', ticket }, [port2]);
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

  /* A form, which the page's script sent here: FORMS, its ticket, and where to. What comes back is shown, and nothing
     more: with an origin of its own, no script, no form. A redirect comes back here, or to the page's own server. */
  const FORMS = `${self.registration.scope}egret-form/`;
  const TICKET = 36;
  const HEAD = FORMS.length + TICKET;
  const KEPT = ['Content-Type', 'Content-Disposition', 'Content-Language'];
  const send = async (request) => {
    const ticket = request.url.slice(FORMS.length, HEAD);
    const pages = await self.clients.matchAll({ type: 'window' });
    const told = pages.map((each) => ask(each, ticket).then((base) => base || Promise.reject()));
    const base = await Promise.any(told).catch(() => undefined);
    if (!base) return Response.error();
    const { method, headers: given } = request;
    const headers = { 'Egret-Form': request.url.slice(0, HEAD) };
    for (const name of ['Accept', 'Content-Type']) if (given.has(name)) headers[name] = given.get(name);
    const body = method === 'GET' ? undefined : await request.arrayBuffer();
    const there = base + encode(request.url.slice(HEAD + 1));
    const answer = await fetch(there, { method, headers, body, redirect: 'manual', credentials: 'omit' });
    if (answer.type === 'opaqueredirect') return answer;
    const shown = new Headers({
      'Content-Security-Policy': "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-store',
    });
    for (const name of KEPT) if (answer.headers.has(name)) shown.set(name, answer.headers.get(name));
    return new Response(answer.body, { status: answer.status, headers: shown });
  };

  self.addEventListener('install', () => self.skipWaiting());
  self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
  self.addEventListener('fetch', (event) => {
    const { origin, pathname } = new URL(event.request.url);
    if (event.request.mode === 'navigate' && event.request.url.startsWith(FORMS)) {
      event.stopImmediatePropagation();
      return event.respondWith(send(event.request));
    }
    /* The page script's own requests are there already. */
    if (event.request.url.search(PLACEHOLDER) < 0 || origin === self.origin || /\/s\/egs_[^/]+\//.test(pathname)) return;
    event.stopImmediatePropagation();
    event.respondWith(reach(event));
  });
})();
