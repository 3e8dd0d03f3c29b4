// Node's fetch through the proxy, by undici's agent, as docs/clients.md shows it.
import { ProxyAgent, fetch, setGlobalDispatcher } from "undici";
import { readFileSync } from "node:fs";

const proxy = new URL(process.env.HTTPS_PROXY);
const token = `Bearer ${decodeURIComponent(proxy.username)}`;
const ca = readFileSync(process.env.NODE_EXTRA_CA_CERTS, "utf8");
setGlobalDispatcher(new ProxyAgent({ uri: proxy.origin, token, requestTls: { ca } }));

const api = process.env.API;
const query = new URLSearchParams({ token: "#{SECRETS.API_TOKEN}" });
const headers = { Authorization: "Bearer #{SECRETS.API_TOKEN}" };
for (const [url, options] of [
  [`${api}/generate?${query}`, {}],
  [`${api}/items`, { headers }],
  [`${api}/both?${query}`, { headers: { ...headers, "X-Other": "#{SECRETS.OTHER}" } }],
]) {
  const response = await fetch(url, options);
  console.log(response.status, await response.text());
}
