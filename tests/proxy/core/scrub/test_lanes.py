"""Lanes: what they read does not go by which way of reading it is faster."""

import pytest
from draw import Draw

from proxy.core.scrub import lanes
from proxy.core.scrub.profile import Profile
from proxy.core.shape import shape_of


@pytest.mark.parametrize("offset", ["%08x ", "%06x: ", "0x%07x ", "%x", "g%08x  "])
def test_lines_of_dumps_are_the_same_among_few_offsets_and_many(monkeypatch, offset: str) -> None:
    """One by one, or all at once; with other runs of digits between them, directly before them, and cut anywhere."""
    profile = Profile([shape_of(b"aZ3kQ9xPw2aZ3kQ9")])
    draw = Draw(f"dumps {offset}")
    for _ in range(60):
        lines = [
            draw.choice(
                [
                    (offset % draw.randrange(1 << 28)) + " ".join(draw.hex(draw.randrange(1, 3)) for _ in range(16)),
                    draw.hex(draw.randrange(1, 40)) + draw.choice(["", " ", ": "]) + draw.hex(2),
                    draw.letters(draw.randrange(30)),
                ]
            )
            for _ in range(40)
        ]
        data = "\n".join(lines).encode()[draw.randrange(30) :]
        read = []
        for close in (0, 1 << 30):
            monkeypatch.setattr(lanes, "_CLOSE", close)
            read.append(lanes._dumped(data, data.translate(profile.separated)))
        assert read[0] == read[1]
    assert offset in ("%x", "g%08x  ") or len(read[0]) > 1
