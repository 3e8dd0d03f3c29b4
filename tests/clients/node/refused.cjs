// `node refused.cjs CLIENT URL`: one request, as the client's documentation shows it; what it throws ends the program.
const name = process.argv[2];
const url = process.argv[3];
const show = (response) => {
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
};

const clients = {
  fetch: async () => show(await fetch(url)),
  https: () =>
    new Promise((resolve, reject) => {
      const answered = (response) => {
        response.resume();
        if (response.statusCode === 200) resolve();
        else reject(new Error(`${response.statusCode} ${response.statusMessage}`));
      };
      require("https").get(url, answered).on("error", reject);
    }),
  undici: async () => {
    const { statusCode, body } = await require("undici").request(url);
    if (statusCode !== 200) throw new Error(`${statusCode} ${await body.text()}`);
  },
  axios: () => require("axios").get(url),
  got: async () => (await import("got")).got(url, { retry: { limit: 0 } }),
  ky: async () => (await import("ky")).default(url, { retry: 0 }),
  openai: async () => {
    const { OpenAI } = require("openai");
    await new OpenAI({ apiKey: "x", baseURL: url, maxRetries: 0 }).models.list();
  },
  octokit: async () => {
    const { origin, pathname } = new URL(url);
    const { request } = await import("@octokit/request");
    await request({ method: "GET", baseUrl: origin, url: pathname });
  },
  slack: async () => {
    const { WebClient } = require("@slack/web-api");
    const options = { slackApiUrl: url.replace(/\/?$/, "/"), retryConfig: { retries: 0 } };
    await new WebClient("x", options).api.test();
  },
  grpc: () => {
    const grpc = require("@grpc/grpc-js");
    const client = new grpc.Client(new URL(url).host, grpc.credentials.createSsl());
    const metadata = new grpc.Metadata();
    metadata.set("x-key", "#{SECRETS.KEY}");
    const [write, read] = [(data) => data, (data) => data];
    const deadline = { deadline: Date.now() + 10_000 };
    return new Promise((resolve, reject) => {
      const done = (error, answer) => (error ? reject(error) : resolve(answer));
      client.makeUnaryRequest("/a.B/C", write, read, Buffer.from(""), metadata, deadline, done);
    });
  },
  ws: () =>
    new Promise((resolve, reject) => {
      new (require("ws"))(url.replace("https", "wss")).on("open", resolve).on("error", reject);
    }),
};

clients[name]().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
