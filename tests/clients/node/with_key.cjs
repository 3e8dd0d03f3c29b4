// SDKs that sign with a key, or send a client's secret, to get a token: as their documentation has it.
//   with_key.cjs octokit|google|azure URL
// Prints the status that the URL was answered with, and what the SDK holds as token.
const fs = require('node:fs');

const clients = {
  async octokit() {
    const { createAppAuth } = await import('@octokit/auth-app');
    const privateKey = fs.readFileSync(process.env.EGRET_STAND_IN_KEY, 'utf8');
    const auth = createAppAuth({ appId: '#{SECRETS.GH}', privateKey, installationId: 42 });
    return (await auth({ type: 'installation' })).token;
  },
  async google() {
    const { JWT } = require('google-auth-library');
    const { client_email: email, private_key: key } = JSON.parse(fs.readFileSync(process.env.EGRET_KEY_FILE_GCP, 'utf8'));
    const client = new JWT({ email, key, scopes: ['https://www.googleapis.com/auth/devstorage.read_only'] });
    return (await client.getAccessToken()).token;
  },
  async azure() {
    const { ClientSecretCredential } = require('@azure/identity');
    const credential = new ClientSecretCredential('contoso.example', '0-1', '#{SECRETS.AZ}');
    return (await credential.getToken('https://vault.azure.net/.default')).token;
  },
};

(async () => {
  const [which, url] = process.argv.slice(2);
  const token = await clients[which]();
  const { request } = require('node:http');
  const proxy = new URL(process.env.HTTP_PROXY);
  const credentials = `Basic ${Buffer.from(`${proxy.username}:x`).toString('base64')}`;
  const headers = { authorization: `Bearer ${token}`, 'proxy-authorization': credentials, host: new URL(url).host };
  request({ host: proxy.hostname, port: proxy.port, path: url, headers }, (answer) => {
    console.log(JSON.stringify([answer.statusCode, token]));
    answer.resume();
  }).end();
})();
