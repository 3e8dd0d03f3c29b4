"""A key that signs is written nowhere: not in a head, a body or a message."""

import pytest
from names import Known, Names

from proxy.core import inject
from proxy.core.edit import Budget, Editor
from proxy.core.message import Head
from proxy.core.placeholder import Surface, find
from proxy.core.refusal import Refused
from store.kinds import Credential
from store.model import Destination, Location, Use

HOST = Destination(True, "s3.us-east-1.amazonaws.com", 443)
NAMES = Names([Known("KEY", b"canary", (HOST,), credential=Credential("aws")), Known("TEXT", b"text", (HOST,))])
TEXT = b"#{SECRETS.KEY}"


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        (b"/%23%7BSECRETS.KEY%7D", ()),
        (b"/?key=%23%7BSECRETS.KEY%7D", ()),
        (b"/", ((b"X-Key", TEXT),)),
        (b"/", ((b"Cookie", b"k=" + TEXT),)),
        (b"/", ((b"Authorization", b"Bearer " + TEXT),)),
        (b"/", ((b"Authorization", b"Basic OiN7U0VDUkVUUy5LRVl9"),)),
    ],
)
def test_a_head_with_a_key_is_refused(target, fields):
    """With the remedy, and before anything is opened; in trailers too."""
    with pytest.raises(Refused) as caught:
        inject.plan(Head("GET", target, fields, HOST), NAMES)
    assert (caught.value.refusal.code, caught.value.refusal.secret) == ("signing_key_misplaced", "KEY")
    if fields:
        with pytest.raises(Refused):
            inject.plan(Head("GET", b"/", fields, HOST), NAMES, before=Head("GET", b"/", (), HOST))
    assert [grant.opened for grant in NAMES.grants if grant.name == "KEY"] == [0] * len(NAMES.grants)


@pytest.mark.parametrize("surface", list(Surface))
def test_a_body_keeps_a_key_as_text(surface):
    """A prompt may quote one; a form, which a POST policy is, is refused. Others of the body are written."""
    data = b"#{SECRETS.TEXT} " + TEXT
    for strict in (False, True):
        editor = Editor(NAMES, Use(HOST, Location.BODY), Budget(1000), strict)
        if strict or surface in {Surface.FORM, Surface.MULTIPART}:
            with pytest.raises(Refused) as caught:
                editor.apply(data, find(data, surface), surface)
            assert caught.value.refusal.code == "signing_key_misplaced"
        else:
            assert editor.apply(data, find(data, surface), surface) == b"text " + TEXT
            assert editor.carried == {"KEY": "signing_key_misplaced"}
