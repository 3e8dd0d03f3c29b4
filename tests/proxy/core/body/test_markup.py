"""XML and HTML with CDATA sections."""

import pytest
from names import Known, Names

from proxy.core.body.markup import MarkupRewriter, overlap
from proxy.core.edit import Budget, Editor
from store.model import Destination, Location, Use

HOST = Destination(True, "api.example.com", 443)


def rewritten(data: bytes, size: int) -> bytes:
    editor = Editor(Names([Known("A", b"a&<b", (HOST,))]), Use(HOST, Location.BODY), Budget(1000))
    rewriter = MarkupRewriter(editor)
    return b"".join(rewriter.feed(data[i : i + size]) for i in range(0, len(data), size)) + rewriter.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
def test_a_section_begins_and_ends_across_pieces(size: int) -> None:
    """Escaped outside, as it is inside, entities recognised outside only."""
    data = b"<![CDATA[#{SECRETS.A}]] ]>&#35;{SECRETS.A}]]>&#35;{SECRETS.A}<![CDATA #{SECRETS.A}<![CDATA[#<SECRETS.A>"
    assert rewritten(data, size) == b"<![CDATA[a&<b]] ]>&#35;{SECRETS.A}]]>a&amp;&lt;b<![CDATA a&amp;&lt;b<![CDATA[a&<b"


def test_overlap_is_the_longest_end_that_begins_a_marker() -> None:
    """The whole marker is none."""
    assert [overlap(data, b"]]>") for data in (b"", b"x", b"x]", b"]]", b"x]]]", b"]]>")] == [0, 0, 1, 2, 2, 0]
