/* Egret's page script. Load it first, as a classic script:

     <script src="https://gateway.example/s/SESSION/egret.js"></script>

   What goes to the hosts of the session's secrets, or has a placeholder in its URL, goes through the gateway that the
   script came from. Placeholders are percent-encoded first, before any URL parser takes the '#' for the start of a
   fragment. What the page reads back (Response.url and the like) is what it wrote. Everything else stays as it is.

     data-hosts="api.example.com *.example.org"   these hosts instead of the session's; "*" is all of them
     data-worker="/egret-sw.js"                   a service worker for what a script cannot reach: CSS, markup, import(), forms

   docs/gateway.md says what works, what cannot, and why. No value is ever here: values are put in beyond the gateway. */
(function install(world, base, here, hosts, helper) {
  'use strict';
  const mark = Symbol.for('egret');
  if (world[mark] === base) return;
  world[mark] = base;

  const NativeURL = world.URL;
  const page = world.document;
  const folder = () => (page ? page.baseURI : here);
  const own = world.origin === 'null' ? new NativeURL(folder()).origin : world.origin;
  const gateway = new NativeURL(base).origin;
  const sockets = base.replace(/^http/, 'ws');

  const NAME = '((?:SECRETS|VARS)\\.[A-Z][A-Z0-9_]{0,127})';
  const PLACEHOLDER = RegExp(`(?:#|%23)(?:(?:{|%7[Bb])${NAME}(?:}|%7[Dd])|(?:<|%3[Cc])${NAME}(?:>|%3[Ee]))`, 'g');
  const encode = (text) => `${text}`.replace(PLACEHOLDER, (_, braces, angles) => `%23%7B${braces || angles}%7D`);
  const decode = (text) => text.replace(RegExp(`%23%7B${NAME}%7D`, 'g'), '#{$1}');
  const has = (text) => typeof text !== 'symbol' && String(text).search(PLACEHOLDER) >= 0;

  /* What went out cut, once for each place, with what to do instead. */
  const LOAD = 'set its property in a script, or load egret-sw.js';
  const ASK = 'use fetch()';
  const FORM = 'use fetch(), or load egret-sw.js';
  const OWN = "nothing is put in on the way to the page's own server";
  const told = new Set();
  const warn = (where, what, remedy) => {
    const text = `egret cannot reach ${where} from ${what}: ${where === own ? OWN : remedy} (docs/gateway.md)`;
    if (!told.has(text)) world.console.warn(text);
    told.add(text);
  };

  const names = hosts?.split(/[ ,]+/); /* none: everything; "": nothing */
  const listed = ({ hostname, port, protocol }) => {
    const full = `${hostname}:${port || (/s:$/.test(protocol) ? 443 : 80)}`;
    const fits = (one) => (one[0] === '*' ? [hostname, full].some((h) => h.endsWith(one.slice(1))) : one === hostname || one === full);
    return !names || names.some(fits);
  };
  const http = ({ origin }) => origin.replace(/^ws/, 'http');
  const foreign = (url) => /^(http|ws)s?:/.test(url.protocol) && ![gateway, own].includes(http(url));

  /* The one rule: a URL as the page wrote it in, the URL to really ask out. */
  const map = (url, to = base) => {
    let there;
    try {
      there = new NativeURL(encode(url), folder());
    } catch {
      return url; /* not a URL: the native interface throws what the page expects */
    }
    if (foreign(there) && !there.username && (has(url) || listed(there))) return to + there.href.replace('://', '/');
    if (has(url) && (foreign(there) || http(there) === own)) warn(http(there), 'a script', 'take the user name out of the URL');
    return page ? url : there.href; /* in a worker of ours relative URLs have a blob: for a base */
  };
  const unmap = (url) => {
    for (const to of [base, sockets]) if (url?.startsWith(to)) return url.slice(to.length).replace('/', '://');
    return url;
  };

  /* Trusted Types: what the page's own policy let through stays trusted under its new address, and nothing else does. */
  const types = world.trustedTypes;
  let policy;
  const trust = (url) => {
    try {
      policy ??= types.createPolicy('egret', { createScriptURL: (text) => text });
      return policy.createScriptURL(url);
    } catch {
      if (page) warn('scripts', 'Trusted Types', "add 'egret' to the trusted-types of the page's Content-Security-Policy");
      return url;
    }
  };
  const same = (before, after) => (types?.isScriptURL(before) ? trust(after) : after);

  /* Three ways in: what a constructor is given, what a method is given, what a getter gives. */
  const construct = (name, change, make = Reflect.construct) => {
    const Native = world[name];
    if (!Native) return;
    const Ours = new Proxy(Native, {
      construct: (_, given, as) => make(Native, change(given), as === Ours ? Native : as),
    });
    Native.prototype.constructor = Ours;
    world[name] = Ours;
  };
  const apply = (owner, name, call) => {
    const native = owner?.[name]; /* a proxy has the name, the length and the text of what is native */
    if (native) owner[name] = new Proxy(native, { apply: (_, self, given) => call(native, self, given) });
  };
  const patch = (owner, name, change) =>
    apply(owner, name, (native, self, given) => Reflect.apply(native, self, change(given, self)));
  const property = (owner, name, make) => {
    const native = owner && Object.getOwnPropertyDescriptor(owner, name);
    if (native) Object.defineProperty(owner, name, { ...native, ...make(native) });
  };
  const proto = (name) => world[name]?.prototype;
  const reads = (name, key, change) =>
    property(proto(name), key, (native) => ({ get() { return change(native.get.call(this)); } }));
  const first = (change) => (given) => (given.length ? [change(given[0]), ...given.slice(1)] : given);

  const rawUrl = Object.getOwnPropertyDescriptor(proto('Request'), 'url').get;
  const urlOf = (input) => {
    try {
      return rawUrl.call(input); /* throws unless it is a Request, of this window or of another */
    } catch {
      return null;
    }
  };
  const KEPT = 'method headers mode credentials cache redirect referrerPolicy integrity keepalive signal';
  apply(world, 'fetch', (native, self, given) => {
    const [input, init] = given;
    const url = urlOf(input);
    if (url === null) return Reflect.apply(native, self, first((text) => map(text))(given));
    const there = map(url);
    if (there === url) return Reflect.apply(native, self, given);
    /* A Request from before the script or from another window: the same, elsewhere. */
    const copy = {};
    for (const key of KEPT.split(' ')) copy[key] = input[key];
    if (copy.mode === 'navigate') delete copy.mode;
    return input.arrayBuffer().then((body) => {
      if (body.byteLength) copy.body = body; /* a GET has none */
      return native.call(self, there, { ...copy, ...init });
    });
  });

  construct('Request', first((input) => (urlOf(input) === null ? map(input) : input)));
  construct('EventSource', first((url) => map(url)));
  construct('WebSocket', ([...given]) => {
    if (given.length) given[0] = map(given[0], sockets);
    if (typeof given[1] === 'string') given[1] = encode(given[1]);
    else if (given[1]?.[Symbol.iterator]) given[1] = [...given[1]].map(encode);
    return given;
  });
  patch(NativeURL, 'parse', first(encode));
  patch(NativeURL, 'canParse', first(encode));
  construct('URL', first(encode));
  patch(proto('XMLHttpRequest'), 'open', ([...given]) => {
    if (given.length > 1) given[1] = map(given[1]);
    return given;
  });
  patch(proto('Navigator'), 'sendBeacon', first((url) => map(url)));

  for (const name of ['Request', 'Response', 'EventSource', 'WebSocket']) reads(name, 'url', unmap);
  reads('XMLHttpRequest', 'responseURL', unmap);
  reads('WebSocket', 'protocol', decode);

  /* Dedicated workers are windows of their own: they begin with this function. */
  const createURL = NativeURL.createObjectURL;
  const blobs = {}; /* A worker's URL may be revoked as soon as it was made; Firefox imports none without a type. */
  apply(NativeURL, 'createObjectURL', (native, self, given) => {
    const url = Reflect.apply(native, self, given);
    blobs[url] = given[0];
    return url;
  });
  patch(NativeURL, 'revokeObjectURL', (given) => (delete blobs[given[0]], given));
  const script = (...parts) => createURL.call(NativeURL, new Blob(parts, { type: 'text/javascript' }));
  construct('Worker', (given) => {
    if (!given.length) return given;
    let [url, options] = given;
    let source;
    try {
      if (typeof url === 'string') url = types?.defaultPolicy?.createScriptURL(url, 'TrustedScriptURL', 'Worker constructor') ?? url;
      source = new NativeURL(encode(url), folder());
    } catch {
      return given;
    }
    if (source.protocol !== 'data:' && source.origin !== own) return given; /* the browser refuses it */
    source = source.href;
    const boot = `(${install})(self,${[base, source, hosts].map((each) => JSON.stringify(each ?? null))})`;
    const quoted = JSON.stringify(blobs[source] ? script(blobs[source]) : source);
    const begin = options?.type === 'module'
      ? script(`import ${JSON.stringify(script(boot))};import ${quoted};`)
      : script(`${boot}(${quoted});`);
    return [same(url, begin), ...given.slice(1)];
  });

  /* Whatever was loaded: its entry has the URL with its fragment, or (WebKit) ends where it was cut. What was asked by
     one of the functions above was judged there. */
  const ASKED = /^(fetch|xmlhttprequest|beacon)$/;
  let reached = false; /* by the service worker, which is not asked for frames */
  const silent = (kind) => ASKED.test(kind) || (reached && !/^(i?frame|object|embed)$/.test(kind));
  const watch = ({ name, initiatorType }) => {
    const there = new NativeURL(name);
    if (!silent(initiatorType) && foreign(there) && (has(name) || (names && name.endsWith('=') && listed(there)))) warn(there.origin, initiatorType, LOAD);
  };
  try {
    new world.PerformanceObserver((list) => list.getEntries().forEach(watch)).observe({ type: 'resource', buffered: true });
  } catch { /* none here: it is only for warnings */ }

  if (!page) {
    const at = new NativeURL(here);
    const place = Object.create(world.WorkerLocation.prototype, { toString: { value: () => at.href } });
    for (const key of 'href origin protocol host hostname port pathname search hash'.split(' '))
      Object.defineProperty(place, key, { value: at[key], enumerable: true });
    Object.defineProperty(world, 'location', { value: place, enumerable: true, configurable: true });
    /* This worker is a blob: with the page's policy. One from a file has its own, so that its scripts need no type. */
    const load = world.importScripts;
    const lax = (url) => (types && at.protocol !== 'blob:' ? trust(url) : url);
    patch(world, 'importScripts', (urls) => urls.map((url) => (typeof url === 'string' ? lax(map(url)) : same(url, map(url)))));
    return (url) => load.call(world, types ? trust(url) : url);
  }

  /* Elements: only where the URL has a placeholder. */
  for (const kind of ['Image', 'Script', 'Media', 'Source', 'Track', 'Link'])
    property(proto(`HTML${kind}Element`), kind === 'Link' ? 'href' : 'src', (native) => ({
      set(url) { native.set.call(this, has(url) ? same(url, map(url)) : url); },
    }));
  const FOREIGN = /^(A|AREA|BASE|IFRAME|FRAME|EMBED|OBJECT)$/;
  patch(proto('Element'), 'setAttribute', ([...given], element) => {
    const [name, value] = given;
    if (has(value) && /^(src|href)$/i.test(name) && !FOREIGN.test(element.tagName)) given[1] = same(value, map(value));
    return given;
  });

  /* Frames without a document of their own are the page's: what it takes out of them asks as the page does. */
  const join = (frame) => {
    try {
      if (!frame[mark] && frame.location.href === 'about:blank') install(frame, base, here, hosts);
    } catch { /* of another origin */ }
  };
  for (const [key, view] of [['contentWindow', (got) => got], ['contentDocument', (got) => got?.defaultView]])
    property(proto('HTMLIFrameElement'), key, (native) => ({
      get() {
        const got = native.get.call(this);
        join(view(got));
        return got;
      },
    }));

  /* What cannot be reached, where it shows. `load` and `error` do not bubble, and are not seen on a window. */
  const cut = (text, what, remedy) => {
    try {
      const there = new NativeURL(text, folder());
      if (has(text) && (foreign(there) || http(there) === own)) warn(http(there), what, remedy);
    } catch { /* no URL */ }
  };
  const look = ({ target, type }) => {
    const click = type === 'click';
    const element = click ? target.closest?.('[href]') : !silent(target.localName) && target;
    for (const name of ['src', 'href', 'srcset', 'poster', 'data'])
      for (const text of element?.getAttribute?.(name)?.split(name === 'srcset' ? /[\s,]+/ : /$/) ?? [])
        click ? cut(text, 'a navigation', ASK) : cut(text, element.localName, LOAD);
  };
  for (const type of ['load', 'error', 'click']) page.addEventListener(type, look, true);
  /* WebKit has no entry of an import() that fails: what a script in the markup says is read. */
  const IMPORT = /\bimport\b[^;'"`]*['"`]([^'"`]+)/g;
  const read = (node) => {
    if (node.localName !== 'script' || node.src || (helper && workers.controller)) return;
    for (const [, text] of node.textContent.matchAll(IMPORT)) cut(text, 'script', LOAD);
  };
  new world.MutationObserver((records) => records.forEach((each) => each.addedNodes.forEach(read))).observe(page, { childList: true, subtree: true });

  /* Forms: a service worker is asked for navigations within its own origin alone. So one with a placeholder is sent to
     a path of the worker's, which says where to; the ticket tells the worker whose session that is. */
  let forms; /* the path, once the worker runs */
  const diverted = new WeakSet();
  const fields = Object.getOwnPropertyDescriptor(proto('HTMLFormElement'), 'elements').get;
  const divert = (form, by) => {
    const [element, name] = by?.hasAttribute('formaction') ? [by, 'formaction'] : [form, 'action'];
    const action = element.getAttribute(name);
    if (!has(action ?? '') && ![...fields.call(form)].some(({ value }) => has(value ?? ''))) return;
    const there = NativeURL.canParse(encode(action), folder()) && new NativeURL(encode(action), folder());
    if (!forms || !there || !foreign(there) || there.username) return by && cut(action, 'a form', FORM);
    diverted.add(form);
    element.setAttribute(name, forms + there.href.replace('://', '/'));
    setTimeout(() => (diverted.delete(form), element.setAttribute(name, action))); /* it was read by then */
  };
  patch(proto('HTMLFormElement'), 'submit', (given, form) => (divert(form), given));
  world.addEventListener('submit', (event) => event.defaultPrevented || divert(event.target, event.submitter));
  /* Entries are asked for by `new FormData(form)` too, which sends nothing. */
  let building = 0;
  construct('FormData', (given) => given, (...all) => {
    building++;
    try {
      return Reflect.construct(...all);
    } finally {
      building--;
    }
  });
  page.addEventListener('formdata', ({ target, formData }) => {
    const action = target.getAttribute('action') ?? '';
    if (!building && !diverted.has(target) && [action, ...formData.values()].some(has)) cut(`${action}#{VARS.X}`, 'a form', FORM);
  }, true);
  world.navigation?.addEventListener('navigate', ({ destination: { url } }) => forms && url.startsWith(forms) || cut(url, 'a navigation', ASK));
  construct('SharedWorker', (given) => (warn('anything', 'a SharedWorker', 'use a Worker'), given));
  patch(world, 'open', (given) => (cut(given[0], 'a navigation', ASK), given));

  /* The service worker asks each page which gateway is its own: it is one for all of them, and keeps nothing. */
  const workers = page.defaultView?.isSecureContext && own === world.origin && world.navigator.serviceWorker;
  if (!workers) return helper && warn('anything', 'a service worker', 'serve the page over https, in a frame with allow-same-origin');
  const ticket = world.crypto.randomUUID();
  workers.addEventListener('message', (event) => {
    if (event.data?.egret !== 'base') return;
    event.stopImmediatePropagation();
    if (event.data.ticket) return event.data.ticket === ticket && event.ports[0].postMessage(base);
    reached = true;
    event.ports[0].postMessage(base);
  });
  if (!helper) return;
  workers.startMessages();
  workers.getRegistration(helper).then((before) =>
    workers.register(helper).then(({ scope }) => {
      /* Until the first visit's worker runs, nothing was reached: once more. */
      if (before?.active) forms = workers.controller && `${scope}egret-form/${ticket}/`;
      else workers.addEventListener('controllerchange', () => world.location.reload(), { once: true });
    }),
  ).catch(() => warn('anything', 'a service worker', `let ${helper} say importScripts of the gateway's egret-sw.js`));
})(
  window, new URL('.', document.currentScript.src).href, location.href,
  document.currentScript.dataset.hosts ?? null /* HOSTS */, document.currentScript.dataset.worker,
);
