// The same by the environment alone.
import { EnvHttpProxyAgent, fetch, setGlobalDispatcher } from "undici";

setGlobalDispatcher(new EnvHttpProxyAgent());
const response = await fetch(`${process.env.API}/items`, { headers: { Authorization: "Bearer #{SECRETS.API_TOKEN}" } });
console.log(response.status, await response.text());
