"""The file of a dataset, second step of the documented create call: `curl --upload-file dataset.zip $upload_url`."""

from store.api.call import Call
from store.api.fields import Out
from store.api.operation import Operation, Reply, registrar
from store.api.problem import Fault
from store.errors import Conflict

OPERATIONS: list[Operation] = []
route = registrar(OPERATIONS, "uploads")


class UploadOut(Out):
    """A file that was taken."""

    status: str
    size: int
    sha256: str


@route("PUT", "/uploads/{ticket}", answer=UploadOut, public=True, upload=True)
async def upload_file(call: Call) -> Reply:
    """Send the dataset's file to its `upload_url`: once, within 15 minutes, 1 GiB at most, no API key needed."""
    desk, vault, uploads = call.state.desk, call.vault, call.state.uploads
    ticket = uploads.read(call.path["ticket"])
    try:
        await desk.read(vault.files.expect, ticket.scope, ticket.etag)
        received = await uploads.receive(call.request.content.iter_chunked(1 << 16))
        try:
            await desk.write(vault.files.finish, ticket.scope, ticket.etag, uploads.keeper(received, ticket.scope))
        finally:
            received.path.unlink(missing_ok=True)
    except Conflict:
        raise Fault("upload_used") from None
    return Reply(UploadOut(status="ready", size=received.size, sha256=received.sha256))
