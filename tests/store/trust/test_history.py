"""store.trust.history: against RFC 6962's definition, and its test vectors."""

import hashlib

import pytest

from store.trust.history import EMPTY, append, leaf, prove, root, roots

INPUTS = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43", bytes(range(0x50, 0x58)), bytes(range(0x60, 0x70))]  # fmt: skip
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
"""Of certificate-transparency's own tests."""


def plain(leaves):
    """Merkle tree hash by the definition."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf(leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + plain(leaves[:split]) + plain(leaves[split:])).digest()


def grown(leaves):
    kept, found, peaks = {}, [EMPTY], []
    for size, data in enumerate(leaves):
        peaks, fresh = append(peaks, size, data)
        kept.update(fresh)
        found.append(root(peaks))
    return kept, found


def test_the_roots_are_those_of_the_rfc():
    _, found = grown(INPUTS)
    assert {size: found[size].hex() for size in ROOTS} == ROOTS


def test_every_proof_leads_to_both_roots():
    leaves = [b"leaf %d" % number for number in range(40)]
    kept, found = grown(leaves)
    for new in range(1, 41):
        assert found[new] == plain(leaves[:new])
        for old in range(1, new + 1):
            assert roots(prove(kept.get, old, new), old, new) == (found[old], found[new])


@pytest.mark.parametrize("at", range(20))
def test_another_past_is_told(at):
    """The new root is the signed one, and the old root that it leads to is not the one that was seen."""
    leaves = [b"leaf %d" % number for number in range(40)]
    forked = [*leaves[:at], b"other", *leaves[at + 1 :]]
    _, seen = grown(leaves[:25])
    kept, now = grown(forked)
    one, two = roots(prove(kept.get, 25, 40), 25, 40)
    assert two == now[40]
    assert one != seen[25]


def test_nodes_that_were_edited_lead_nowhere():
    kept, found = grown([b"leaf %d" % number for number in range(40)])
    for place in list(kept):
        proof = prove({**kept, place: bytes(32)}.get, 25, 40)
        one, two = roots(proof, 25, 40)
        assert (one, two) == (found[25], found[40]) or two != found[40]
    assert roots([], 3, 5) == (b"", b"")
