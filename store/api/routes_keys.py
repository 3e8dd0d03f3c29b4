"""API keys."""

from store.api.call import Call
from store.api.key_models import EndedOut, KeyIn, KeyList, KeyMade, KeyOut, KeyPatch, KeyQuery, LeakIn, RotateIn
from store.api.operation import Operation, Reply, registrar
from store.api.page import PageQuery
from store.api.session_models import SessionList, SessionOut
from store.model import SecretValue
from store.records import KeyInfo
from store.vault import KeyChange, NewKey

OPERATIONS: list[Operation] = []
route = registrar(OPERATIONS, "keys")


def _made(info: KeyInfo, key: SecretValue) -> Reply:
    known = KeyOut.model_validate(info).model_dump()
    return Reply(KeyMade(**known, key=key.reveal().decode()), etag=info.etag)


@route("POST", "/keys/", body=KeyIn, answer=KeyMade, status=201, once=True, tagged=True)
async def create_key(call: Call) -> Reply:
    """Make an API key; it is in this answer and never shown again."""
    wish = NewKey(**{name: getattr(call.body, name) for name in KeyIn.model_fields})
    return _made(*await call.write(call.vault.keys.create, wish))


@route("GET", "/keys/", query=KeyQuery, answer=KeyList)
async def list_keys(call: Call) -> Reply:
    """List API keys, without the keys."""
    ask: KeyQuery = call.query
    page = await call.read(call.vault.keys.list, sort=ask.sort, limit=ask.limit, cursor=call.cursor())
    items = [KeyOut.model_validate(each) for each in page.items]
    return Reply(KeyList(items=items, next=call.following(page.next)))


@route("GET", "/keys/{key}", answer=KeyOut, tagged=True)
async def get_key(call: Call) -> Reply:
    """Show an API key, without the key; its own every key may see."""
    info = await call.read(call.vault.keys.get, call.path["key"])
    return Reply(KeyOut.model_validate(info), etag=info.etag)


@route("PATCH", "/keys/{key}", body=KeyPatch, empty=False, answer=KeyOut, tagged=True)
async def patch_key(call: Call) -> Reply:
    """Change name, rights, networks or expiry of a key, within your own rights."""
    change = KeyChange(**{name: getattr(call.body, name) for name in KeyPatch.model_fields})
    info = await call.write(call.vault.keys.patch, call.path["key"], change, if_match=call.match())
    return Reply(KeyOut.model_validate(info), etag=info.etag)


@route("DELETE", "/keys/{key}", status=204, tagged=True)
async def revoke_key(call: Call) -> Reply:
    """End a key and the sessions that it opened, at once."""
    await call.write(call.vault.keys.revoke, call.path["key"], if_match=call.match())
    return Reply()


@route("POST", "/keys/{key}/rotate", body=RotateIn, answer=KeyMade, status=201, once=True, tagged=True)
async def rotate_key(call: Call) -> Reply:
    """Make a successor with the same rights; the old key ends after `overlap`, its sessions do not."""
    verb, how = call.vault.keys.rotate, call.body
    return _made(*await call.write(verb, call.path["key"], how.overlap, sessions=how.sessions))


@route("POST", "/keys/{key}/compromised", answer=EndedOut)
async def key_compromised(call: Call) -> Reply:
    """End a key that may be in other hands, at once: with it the sessions that it opened and the keys that it made."""
    return Reply(EndedOut.model_validate(await call.write(call.vault.keys.compromised, call.path["key"])))


@route("GET", "/keys/{key}/sessions", query=PageQuery, answer=SessionList)
async def list_key_sessions(call: Call) -> Reply:
    """List the live sessions that a key opened, in every dataset, without their tokens."""
    page = await call.read(call.vault.sessions.of_key, call.path["key"], limit=call.query.limit, cursor=call.cursor())
    items = [SessionOut.model_validate(each) for each in page.items]
    return Reply(SessionList(items=items, next=call.following(page.next)))


@route("DELETE", "/keys/{key}/sessions", status=204)
async def end_key_sessions(call: Call) -> Reply:
    """End all sessions that a key opened, at once; the key lives on."""
    await call.write(call.vault.keys.end_sessions, call.path["key"])
    return Reply()


@route("POST", "/report-leaked", body=LeakIn, status=204, public=True)
async def report_leaked(call: Call) -> Reply:
    """End a key, its sessions and the keys that it made: whoever shows it may. Unknown keys get the same answer."""
    await call.state.report_leaked(call.body.key, call.request)
    return Reply()
