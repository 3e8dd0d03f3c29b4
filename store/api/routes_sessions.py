"""Sessions of a dataset."""

from urllib.parse import urlsplit

from store.api.call import Call
from store.api.operation import Operation, Reply, registrar
from store.api.page import PageQuery
from store.api.session_models import SessionIn, SessionList, SessionOpened, SessionOut
from store.api.state import Urls
from store.vault import NewSession

OPERATIONS: list[Operation] = []
route = registrar(OPERATIONS, "sessions")
_ALL = "/projects/{project}/datasets/{dataset}/sessions/"


@route("POST", _ALL, body=SessionIn, answer=SessionOpened, status=201, once=True)
async def open_session(call: Call) -> Reply:
    """Open a session. Its token is in this answer and never shown again."""
    wish: SessionIn = call.body
    options = NewSession(
        wish.secrets,
        wish.environment or "",
        wish.origins,
        wish.max_requests,
        wish.label or "",
        wish.ttl,
        wish.consumer,
        wish.sources,
    )
    verb = call.vault.sessions.open
    info, token = await call.write(verb, call.path["project"], call.path["dataset"], options)
    known = SessionOut.model_validate(info).model_dump()
    urls = shown_once(token.reveal().decode(), call.state.urls)
    return Reply(SessionOpened(**known, **urls, missing=list(info.missing)))


def shown_once(token: str, urls: Urls) -> dict[str, str]:
    """Return the token and the URLs that hold it."""
    # The password means nothing and is there for clients that send a user name only with one: requests, urllib, undici
    # and git among them.
    proxy = urlsplit(urls.proxy)
    return {
        "token": token,
        "proxy_url": f"{proxy.scheme}://{token}:x@{proxy.netloc}",
        "gateway_url": f"{urls.gateway}/s/{token}",
        "ca_url": f"{urls.admin}/ca.pem",
    }


@route("GET", _ALL, query=PageQuery, answer=SessionList)
async def list_sessions(call: Call) -> Reply:
    """List live sessions, without their tokens."""
    verb, (project, dataset) = call.vault.sessions.list, (call.path["project"], call.path["dataset"])
    page = await call.read(verb, project, dataset, limit=call.query.limit, cursor=call.cursor())
    items = [SessionOut.model_validate(each) for each in page.items]
    return Reply(SessionList(items=items, next=call.following(page.next)))


@route("GET", _ALL + "{session}", answer=SessionOut)
async def get_session(call: Call) -> Reply:
    """Show a live session, without its token."""
    verb, path = call.vault.sessions.get, call.path
    return Reply(SessionOut.model_validate(await call.read(verb, path["project"], path["dataset"], path["session"])))


@route("DELETE", _ALL + "{session}", status=204)
async def revoke_session(call: Call) -> Reply:
    """End a session: within a second no proxy serves it, open tunnels included."""
    path = call.path
    await call.write(call.vault.sessions.revoke, path["project"], path["dataset"], path["session"])
    return Reply()
