// Loaded into every Node process of a session by NODE_OPTIONS=--require. It makes two things work in unmodified code:
//
//   urls.cjs    `#{SECRETS.X}` in a URL survives URL parsers, which take `#` for the start of the fragment
//   proxy.cjs   HTTPS_PROXY is honoured by what ignores it: http(s) with any agent, `ws`, and fetch before Node 22.21
//
// It never breaks a program: each part is installed on its own, and a part that cannot be says so in one line on stderr.
// EGRET_SHIMS=urls leaves the proxy alone, EGRET_SHIMS=off does nothing at all.
'use strict';

const INSTALLED = Symbol.for('egret.shims');

function install(part) {
  try {
    require(`./${part}.cjs`).install();
  } catch (error) {
    try {
      const [why] = String(error).split('\n');
      process.stderr.write(`egret: the ${part} shim is not installed: ${why}\n`);
    } catch {
      // A process without stderr runs on without the line.
    }
  }
}

const wanted = process.env.EGRET_SHIMS || 'urls,proxy';
if (!globalThis[INSTALLED] && wanted !== 'off') {
  Object.defineProperty(globalThis, INSTALLED, { value: true });
  if (wanted.includes('urls')) install('urls');
  if (wanted.includes('proxy') && /^(https?|all)_proxy$/im.test(Object.keys(process.env).join('\n'))) install('proxy');
}
