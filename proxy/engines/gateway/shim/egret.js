/* Egret's browser shim. Load it first, as a classic script:

     <script src="https://gateway.example/s/SESSION/egret.js"></script>

   Requests to other origins go through the gateway that the script came from. Placeholders in their URLs are
   percent-encoded first, before any URL parser takes the '#' for the start of a fragment. What the page reads back
   (Response.url and the like) is what it wrote. data-hosts="api.example.com *.example.org" limits it to these hosts.

   docs/gateway.md says what works, what cannot, and why. */
(function install(world, base, here, hosts) {
  'use strict';
  const mark = Symbol.for('egret');
  if (world[mark]) return;
  world[mark] = base;

  const NativeURL = world.URL;
  const page = world.document;
  const folder = () => (page ? page.baseURI : here);
  const own = world.origin === 'null' ? new NativeURL(folder()).origin : world.origin;
  const gateway = new NativeURL(base).origin;
  const sockets = base.replace(/^http/, 'ws');

  const NAME = '((?:SECRETS|VARS)\\.[A-Z][A-Z0-9_]{0,127})';
  const PLACEHOLDER = RegExp(`(?:#|%23)(?:(?:{|%7[Bb])${NAME}(?:}|%7[Dd])|(?:<|%3[Cc])${NAME}(?:>|%3[Ee]))`, 'g');
  const KEPT = 'method headers mode credentials cache redirect referrerPolicy integrity keepalive signal';
  const encode = (text) => String(text).replace(PLACEHOLDER, (_, braces, angles) => `%23%7B${braces || angles}%7D`);
  const decode = (text) => text.replace(RegExp(`%23%7B${NAME}%7D`, 'g'), '#{$1}');
  const has = (text) => String(text).search(PLACEHOLDER) >= 0;
  const warn = (text) => world.console.warn('egret cannot reach ' + text);

  const listed = (host) =>
    !hosts || hosts.split(/[ ,]+/).some((one) => (one[0] === '*' ? host.endsWith(one.slice(1)) : host === one));

  /* The one rule: a URL as the page wrote it in, the URL to really ask out. */
  const map = (url, to = base) => {
    let there;
    try {
      there = new NativeURL(encode(url), folder());
    } catch {
      return url; /* not a URL: the native interface throws what the page expects */
    }
    const origin = there.origin.replace(/^ws/, 'http');
    if (/^(http|ws)s?:/.test(there.protocol) && origin !== gateway) {
      if (origin !== own && !there.username && listed(there.hostname)) return to + there.href.replace('://', '/');
      if (has(url)) warn(origin);
    }
    return page ? url : there.href; /* in a worker of ours relative URLs have a blob: for a base */
  };
  const unmap = (url) => {
    for (const to of [base, sockets]) if (url?.startsWith(to)) return url.slice(to.length).replace('/', '://');
    return url;
  };

  /* Three ways in: what a constructor is given, what a method is given, what a getter gives. */
  const construct = (name, change) => {
    const Native = world[name];
    if (!Native) return;
    const Ours = new Proxy(Native, {
      construct: (_, given, as) => Reflect.construct(Native, change(given), as === Ours ? Native : as),
    });
    Native.prototype.constructor = Ours;
    world[name] = Ours;
  };
  const patch = (owner, name, change) => {
    const native = owner?.[name];
    if (native) owner[name] = { [name](...given) { return native.apply(this, change(given, this)); } }[name];
  };
  const property = (owner, name, make) => {
    const native = owner && Object.getOwnPropertyDescriptor(owner, name);
    if (native) Object.defineProperty(owner, name, { ...native, ...make(native) });
  };
  const proto = (name) => world[name]?.prototype;
  const reads = (name, key, change) =>
    property(proto(name), key, (native) => ({ get() { return change(native.get.call(this)); } }));
  const first = (change) => ([url, ...rest]) => (url === undefined ? rest : [change(url), ...rest]);

  const rawUrl = Object.getOwnPropertyDescriptor(proto('Request'), 'url').get;
  const urlOf = (input) => {
    try {
      return rawUrl.call(input); /* throws unless it is a Request, of this window or of another */
    } catch {
      return null;
    }
  };
  const nativeFetch = world.fetch;
  world.fetch = {
    fetch(input, init) {
      const url = urlOf(input);
      if (url === null) return nativeFetch.call(this, arguments.length ? map(input) : input, init);
      const there = map(url);
      if (there === url) return nativeFetch.call(this, input, init);
      /* A Request from before the shim or from another window: the same, elsewhere. */
      const copy = {};
      for (const key of KEPT.split(' ')) copy[key] = input[key];
      if (copy.mode === 'navigate') delete copy.mode;
      return input.arrayBuffer().then((body) => {
        if (body.byteLength) copy.body = body; /* a GET has none */
        return nativeFetch.call(this, there, { ...copy, ...init });
      });
    },
  }.fetch;

  construct('Request', ([input, ...rest]) => [urlOf(input) === null ? map(input) : input, ...rest]);
  construct('EventSource', first((url) => map(url)));
  construct('WebSocket', ([url, names, ...rest]) => [
    map(url, sockets),
    ...(names === undefined ? [] : [(typeof names === 'string' ? [names] : [...names]).map(encode)]), ...rest,
  ]);
  patch(NativeURL, 'parse', first(encode));
  patch(NativeURL, 'canParse', first(encode));
  construct('URL', first(encode));
  patch(proto('XMLHttpRequest'), 'open', ([verb, url, ...rest]) => [verb, map(url), ...rest]);
  patch(proto('Navigator'), 'sendBeacon', first((url) => map(url)));

  for (const name of ['Request', 'Response', 'EventSource', 'WebSocket']) reads(name, 'url', unmap);
  reads('XMLHttpRequest', 'responseURL', unmap);
  reads('WebSocket', 'protocol', decode);

  /* Dedicated workers are windows of their own: they begin with this function. */
  const createURL = NativeURL.createObjectURL;
  const blobs = {}; /* A worker's URL may be revoked as soon as it was made; Firefox imports none without a type. */
  NativeURL.createObjectURL = (object) => {
    const url = createURL(object);
    blobs[url] = object;
    return url;
  };
  patch(NativeURL, 'revokeObjectURL', (given) => (delete blobs[given[0]], given));
  const script = (...parts) => createURL(new Blob(parts, { type: 'text/javascript' }));
  construct('Worker', ([url, options, ...rest]) => {
    const source = new NativeURL(url, folder()).href;
    const boot = `(${install})(self,${JSON.stringify(base)},${JSON.stringify(source)},${JSON.stringify(hosts)});`;
    const quoted = JSON.stringify(blobs[source] ? script(blobs[source]) : source);
    const begin = options?.type === 'module'
      ? script(`import ${JSON.stringify(script(boot))};import ${quoted};`)
      : script(boot, `importScripts(${quoted});`);
    return [begin, options, ...rest];
  });
  if (!page) {
    patch(world, 'importScripts', (urls) => urls.map((url) => map(url)));
    return;
  }

  /* Elements: only where the URL has a placeholder. */
  for (const kind of ['Image', 'Script', 'Media', 'Source', 'Track', 'Link'])
    property(proto(`HTML${kind}Element`), kind === 'Link' ? 'href' : 'src', (native) => ({
      set(url) { native.set.call(this, has(url) ? map(url) : url); },
    }));
  patch(proto('Element'), 'setAttribute', ([name, value, ...rest], element) => [
    name, has(value) && /^(src|href)$/i.test(name) && !/^(A|AREA|BASE|IFRAME|EMBED)$/.test(element.tagName) ? map(value) : value, ...rest,
  ]);

  /* What cannot be reached, where it shows. */
  const look = ({ target }) => {
    for (const name of ['src', 'href', 'action'])
      if (target.getAttribute && has(target.getAttribute(name))) warn(`<${target.localName} ${name}>`);
  };
  for (const type of ['load', 'error', 'submit', 'click']) world.addEventListener(type, look, true);
  construct('SharedWorker', (given) => (warn('SharedWorker'), given));
  patch(world, 'open', (given) => (has(given[0]) && warn('window.open'), given));
})(window, new URL('.', document.currentScript.src).href, location.href, document.currentScript.dataset.hosts);
