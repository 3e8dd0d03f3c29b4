"""What our own script asks for: the page that it is on, again. Who looks on is not at work, so a login grows old by it.

A page is the same to the script as to a person, under the same rules; there is no other address that knows anything.
"""

import hashlib
from typing import Final

from aiohttp import ETag, web

HEADER: Final = "Egret-Live"
"""Says so. A page of another origin cannot set it unasked, and nobody is given leave."""


def asks(request: web.Request) -> bool:
    """Whether the script asks, and not a person."""
    return request.method == "GET" and HEADER in request.headers


def shortened(request: web.Request, answer: web.Response) -> web.Response:
    """Return the answer, or one without a body where the script has it already."""
    if answer.status != 200 or not isinstance(answer.body, bytes):
        return answer
    mark = ETag(hashlib.sha256(answer.body).hexdigest()[:32])
    if mark in (request.if_none_match or ()):
        answer = web.Response(status=304)
    answer.etag = mark
    return answer
