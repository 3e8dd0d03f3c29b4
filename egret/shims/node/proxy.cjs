// HTTPS_PROXY for the clients that ignore it. Which host goes where: proxies.cjs; how: tunnel.cjs; who: the other two.
'use strict';

const { chooser, completeCredentials } = require('./proxies.cjs');

function install() {
  completeCredentials(process.env);
  const proxyFor = chooser(process.env);
  require('./agents.cjs').install(proxyFor);
  require('./dispatcher.cjs').install(proxyFor);
}

module.exports = { install };
