"""What somebody else's sandbox must be given: an environment and one file. See hosted-sandboxes.md."""

from egret.client import Client
from egret.sandbox.environment import BUNDLES, MARKS, PROXY, reserved
from egret.secrets import variables_inside
from egret.through import about
from egret.trust import bundle


def prepare(client: Client, dataset: str, path: str, **session: object) -> tuple[dict[str, str], bytes]:
    """Open a session; return the environment, and the bundle that the sandbox must have at `path`.

    `session`: what `Client.open_session` takes, such as `ttl`, `sources`, `max_requests`. The proxy is asked which
    secrets there are, so it must be reachable from here as well.
    """
    opened = client.open_session(client.find_dataset(dataset)["id"], **session)
    told = about(opened["proxy_url"])
    names = [secret["name"] for secret in told["secrets"]]
    inside = {
        name: value  # an upload must not be a way to change which program runs
        for name, value in variables_inside(opened["id"], names, told["variables"]).items()
        if name in MARKS or not reserved(name)
    }
    proxies = {spelling: opened["proxy_url"] for name in PROXY for spelling in (name, name.lower())}
    roots = dict.fromkeys((*BUNDLES, "NODE_EXTRA_CA_CERTS"), path)
    return {**inside, **proxies, "NO_PROXY": "", "no_proxy": "", **roots, "NODE_USE_ENV_PROXY": "1"}, bundle(
        client.ca()
    )
