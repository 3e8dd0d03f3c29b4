"""What Egret itself answers, written to a client: nothing of it crosses the border, and no value is in it."""

from proxy.admission.internal import Shown, framed
from proxy.admission.stand_in import Own
from proxy.admission.trail import Trail
from proxy.border.client import Sink
from proxy.border.upload import Upload

_REASONS = {200: b"OK", 201: b"Created"}


def write(client: Sink, trail: Trail, shown: Shown, status: int = 200) -> None:
    """Write an answer, whole."""
    client.head(status, _REASONS[status], shown.fields, sized=True)
    if not shown.bare:
        client.piece(shown.body)
    client.last(())
    trail.owned(status)


async def answered(own: Own, client: Sink, trail: Trail, upload: Upload | None) -> bool:
    """Answer a request whose body says that it is for Egret; raises `Refused`. Else its body is held, to be sent."""
    if upload is not None:
        await upload.hold()
    answer = own(b"" if upload is None else upload.all)
    if answer is not None:
        write(client, trail, framed(answer.told), answer.status)
    return answer is not None
