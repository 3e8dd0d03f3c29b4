// The ws package over a tunnel of its own making, as proxy agents do it.
import http from 'node:http';
import tls from 'node:tls';
import WebSocket from 'ws';

const proxy = new URL(process.env.HTTPS_PROXY), target = new URL(process.env.WS);
const basic = Buffer.from(proxy.username + ':').toString('base64');
const headers = { host: target.host, 'Proxy-Authorization': 'Basic ' + basic };
const tunnel = http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: target.host, headers });
tunnel.on('connect', (answer, socket) => {
  if (answer.statusCode !== 200) throw new Error('CONNECT ' + answer.statusCode);
  const createConnection = () => tls.connect({ socket, servername: target.hostname });
  const url = process.env.WS + '/stream?token=%23%7BSECRETS.API_TOKEN%7D';
  const ws = new WebSocket(url, ['openai-insecure-api-key.%23%7BSECRETS.OTHER%7D'], { createConnection });
  ws.on('open', () => ws.send('say #{SECRETS.MESSAGE}'));
  ws.on('message', (data) => { console.log(ws.protocol, String(data)); ws.close(); });
});
tunnel.end();
