// `node proxies.cjs FILE`: reads a JSON list of [variables, protocol, host, port] and prints for each the proxy, or null.
'use strict';

const { readFileSync } = require('fs');
const { chooser } = require(process.env.PROXIES);
const rows = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const shown = (proxy) => proxy && [proxy.secure ? 'https' : 'http', proxy.host, proxy.port, proxy.authorization];
console.log(JSON.stringify(rows.map(([variables, ...target]) => shown(chooser(variables)(...target)))));
