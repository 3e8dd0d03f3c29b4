"""The hash tree: what the root vouches for, and nothing else."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import NodeLost, Tampered
from store.trust import tree
from store.trust.documents import believed_hash

HASHES = st.integers(1, 4).map(lambda number: f"{number:064x}")
KEYS = st.integers(0, 300).map(lambda number: f"session/{number}")


class Nodes(dict):
    root = tree.EMPTY

    def fetch(self, path, expected):
        return tree.checked(self.get(path), expected)

    def apply(self, changes):
        self.root, bodies = tree.update(self.fetch, self.root, changes)
        self.update(bodies)

    def look(self, key):
        return believed_hash(self.fetch, self.root.hex(), key)


@settings(max_examples=60)
@given(st.lists(st.dictionaries(KEYS, st.one_of(st.none(), HASHES), max_size=12), max_size=12))
def test_the_tree_is_a_dictionary(batches):
    """After any changes, every key has its last hash, and removed keys have none."""
    nodes, model = Nodes(), {}
    for changes in batches:
        nodes.apply(changes)
        for key, sha256 in changes.items():
            model.pop(key, None)
            if sha256 is not None:
                model[key] = sha256
    for key in [f"session/{number}" for number in range(301)]:
        assert nodes.look(key) == model.get(key)


@settings(max_examples=30)
@given(st.dictionaries(KEYS, HASHES, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_the_root_depends_on_content_alone(content, order):
    """Any order of the same changes gives the same root; removing all gives the empty root."""
    one, two = Nodes(), Nodes()
    one.apply(content)
    keys = list(content)
    order.shuffle(keys)
    for key in keys:
        two.apply({key: content[key]})
    assert one.root == two.root
    two.apply(dict.fromkeys(keys))
    assert two.root == tree.EMPTY


def test_every_changed_node_is_noticed():
    """A flipped byte, an old node put back, a missing node: each on the path to a key is refused."""
    nodes = Nodes()
    nodes.apply({f"session/{number}": "a" * 64 for number in range(200)})
    old = dict(nodes)
    nodes.apply({"session/7": "b" * 64})
    a, b = tree.bucket_of("session/7")
    for path in ("", f"{a}", f"{a}/{b}"):
        good = nodes[path]
        for bad in (old[path], good[:-1] + bytes([good[-1] ^ 1]), b"", None, good + b"\n"):
            nodes[path] = bad
            with pytest.raises(Tampered):
                nodes.look("session/7")
            nodes[path] = good
    assert nodes.look("session/7") == "b" * 64


@settings(max_examples=60)
@given(st.dictionaries(KEYS, HASHES, min_size=1), st.dictionaries(KEYS, st.one_of(st.none(), HASHES)), st.data())
def test_a_lost_node_holds_no_change_up_and_loses_nothing(content, changes, data):
    """What changed counts at once, what nobody knows is refused, and all is there once the lost nodes come back."""
    nodes = Nodes()
    nodes.apply(content)
    whole = dict(nodes)
    for path in data.draw(st.sets(st.sampled_from(sorted(nodes)))):
        nodes[path] = b"edited"
    nodes.root, bodies = tree.update(nodes.fetch, nodes.root, changes, lambda key: content.get(key, tree.NONE))
    nodes.update(bodies)
    model = {**content, **changes}
    for key in model:
        with contextlib.suppress(NodeLost):
            assert nodes.look(key) == model[key]
    for key in changes:
        assert nodes.look(key) == changes[key]
    for path, body in whole.items():
        if nodes[path] == b"edited":
            nodes[path] = body
    while covers := {path: cover for path, body in nodes.items() if (cover := tree.Cover.of(body)) is not None}:
        path, cover = covers.popitem()
        assert {key: before for key, (_, before) in cover.changed.items()} == {key: content.get(key, tree.NONE) for key in cover.changed}  # fmt: skip
        with pytest.raises(NodeLost):
            tree.uncover(nodes.fetch, nodes.root, path, b"something else")
        nodes.root, bodies = tree.uncover(nodes.fetch, nodes.root, path, whole[path])
        nodes.update(bodies)
    assert {key: nodes.look(key) for key in model} == model
    same = Nodes()
    same.apply({key: sha256 for key, sha256 in model.items() if sha256 is not None})
    assert same.root == nodes.root


def test_the_writer_does_not_build_on_a_forged_node():
    """An update over an edited bucket raises instead of signing the edit into the new root."""
    nodes = Nodes()
    nodes.apply({"session/7": "a" * 64})
    a, b = tree.bucket_of("session/7")
    nodes[f"{a}/{b}"] += f"session/forged {'c' * 64}\n".encode()
    with pytest.raises(Tampered):
        nodes.apply({"session/7": "b" * 64})


def test_a_cover_is_no_empty_node():
    """A bucket below a node of hashes is known to be empty; below a cover nothing is known."""
    nodes = Nodes()
    nodes.apply({"session/7": "a" * 64})
    a, b = tree.bucket_of("session/7")
    assert [*tree.empty_steps(nodes[""])] == [step != a for step in range(tree.FAN)]
    assert [*tree.empty_steps(nodes[f"{a}"])] == [step != b for step in range(tree.FAN)]
    covers = [tree.Cover(b"\0" * 32, {"x" * n: ("a" * 64, "b" * 64)}).body() for n in range(1, 3000)]
    alike = [body for body in covers if len(body) == len(nodes[""])]
    assert alike, "one of the length of a node of hashes"
    assert {tree.empty_steps(body) for body in (*alike, b"")} == {bytes(tree.FAN)}
