"""Consumers of a project: named parts of a platform, each with the secrets that it declares."""

from store.api.call import Call
from store.api.consumer_models import ConsumerList, ConsumerOut, ConsumerPut
from store.api.operation import Operation, Reply, registrar
from store.api.page import PageQuery
from store.vault import Declaration

OPERATIONS: list[Operation] = []
route = registrar(OPERATIONS, "consumers")
_ALL = "/projects/{project}/consumers/"
_ONE = _ALL + "{consumer}"


@route("GET", _ALL, query=PageQuery, answer=ConsumerList)
async def list_consumers(call: Call) -> Reply:
    """List the project's consumers."""
    verb, project = call.vault.consumers.list, call.path["project"]
    page = await call.read(verb, project, limit=call.query.limit, cursor=call.cursor())
    items = [ConsumerOut.model_validate(each) for each in page.items]
    return Reply(ConsumerList(items=items, next=call.following(page.next)))


@route("GET", _ONE, answer=ConsumerOut, tagged=True)
async def get_consumer(call: Call) -> Reply:
    """Show what a consumer declares."""
    info = await call.read(call.vault.consumers.get, call.path["project"], call.path["consumer"])
    return Reply(ConsumerOut.model_validate(info), etag=info.etag)


@route("PUT", _ONE, body=ConsumerPut, answer=ConsumerOut, tagged=True, creates=True)
async def put_consumer(call: Call) -> Reply:
    """Declare a consumer, anew or for the first time; its sessions have exactly these secrets from now on."""
    given: ConsumerPut = call.body
    info = await call.write(
        call.vault.consumers.declare,
        call.path["project"],
        call.path["consumer"],
        Declaration(given.name, given.secrets, given.description),
        if_match=call.match(),
        if_none_match=call.absent(),
    )
    return Reply(ConsumerOut.model_validate(info), etag=info.etag, status=201 if info.etag == '"c1"' else 200)


@route("DELETE", _ONE, status=204, tagged=True)
async def delete_consumer(call: Call) -> Reply:
    """Delete a consumer; its sessions end at once."""
    path, match = call.path, call.match()
    await call.write(call.vault.consumers.delete, path["project"], path["consumer"], if_match=match)
    return Reply()
