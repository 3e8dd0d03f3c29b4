// `node asks.cjs CLIENT URL`: one request with a placeholder in its head, as the client's documentation shows it.
// What it throws ends the program.
const name = process.argv[2];
const url = process.argv[3];
const key = "#{SECRETS.KEY}";
const headers = { "X-Key": key };
const show = (response) => {
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
};

const clients = {
  fetch: async () => show(await fetch(url, { headers })),
  https: () =>
    new Promise((resolve, reject) => {
      const answered = (response) => {
        response.resume();
        if (response.statusCode === 200) resolve();
        else reject(new Error(`${response.statusCode} ${response.statusMessage}`));
      };
      require("https").get(url, { headers }, answered).on("error", reject);
    }),
  http2: () =>
    new Promise((resolve, reject) => {
      const { origin, pathname } = new URL(url);
      const client = require("http2").connect(origin).on("error", reject);
      client.request({ ":path": pathname, "x-key": key }).on("response", resolve).on("error", reject);
    }),
  undici: async () => {
    const { statusCode, body } = await require("undici").request(url, { headers });
    if (statusCode !== 200) throw new Error(`${statusCode} ${await body.text()}`);
  },
  axios: () => require("axios").get(url, { headers }),
  got: async () => (await import("got")).got(url, { headers, retry: { limit: 0 } }),
  ky: async () => (await import("ky")).default(url, { headers, retry: 0 }),
  superagent: () => require("superagent").get(url).set(headers),
  "node-fetch": async () => show(await (await import("node-fetch")).default(url, { headers })),
  needle: () => require("needle")("get", url, { headers }),
  ofetch: () => require("ofetch").ofetch(url, { headers, retry: 0 }),
  gaxios: () => require("gaxios").request({ url, headers }),
  "isomorphic-git": () => {
    const http = require("isomorphic-git/http/node");
    return require("isomorphic-git").getRemoteInfo({ http, url, onAuth: () => ({ username: "x", password: key }) });
  },
  openai: async () => {
    const { OpenAI } = require("openai");
    await new OpenAI({ apiKey: key, baseURL: url, maxRetries: 0 }).models.list();
  },
  anthropic: async () => {
    const { Anthropic } = require("@anthropic-ai/sdk");
    await new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0 }).models.list();
  },
  stripe: async () => {
    const { hostname, port, pathname } = new URL(url);
    const { default: Stripe } = await import("stripe");
    await new Stripe(key, { host: hostname, port, maxNetworkRetries: 0 }).rawRequest("GET", pathname);
  },
  octokit: async () => {
    const { origin, pathname } = new URL(url);
    const { request } = await import("@octokit/request");
    await request({ method: "GET", baseUrl: origin, url: pathname, headers: { authorization: `token ${key}` } });
  },
  slack: async () => {
    const { WebClient } = require("@slack/web-api");
    const options = { slackApiUrl: url.replace(/\/?$/, "/"), retryConfig: { retries: 0 } };
    await new WebClient(key, options).api.test();
  },
  grpc: () => {
    const grpc = require("@grpc/grpc-js");
    const client = new grpc.Client(new URL(url).host, grpc.credentials.createSsl());
    const metadata = new grpc.Metadata();
    metadata.set("x-key", key);
    const [write, read] = [(data) => data, (data) => data];
    const deadline = { deadline: Date.now() + 10_000 };
    return new Promise((resolve, reject) => {
      const done = (error, answer) => (error ? reject(error) : resolve(answer));
      client.makeUnaryRequest("/a.B/C", write, read, Buffer.from(""), metadata, deadline, done);
    });
  },
  ws: () =>
    new Promise((resolve, reject) => {
      new (require("ws"))(url.replace("https", "wss"), { headers }).on("open", resolve).on("error", reject);
    }),
};

clients[name]().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
