"""Plugin manifests: what they declare, and what is wrong with them."""

import pytest

from egret.manifest import MAX_BYTES, ManifestError, declared


@pytest.fixture
def manifest(tmp_path):
    def write(text, name="fiftyone.yml"):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path / name

    return write


def test_a_plugin_manifest_declares_its_names(manifest):
    """The list stands among keys that are the plugin's own business."""
    path = manifest("""\
fiftyone:
  version: ">=0.23"
name: "@voxel51/annotation"
operators: [request, cancel]
secrets:
  - CVAT_URL
  - CVAT_PASSWORD   # used by request
""")
    assert declared(path) == ["CVAT_URL", "CVAT_PASSWORD"]


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "name: x\n", "secrets:\n", "secrets: []\n", "secrets: null\n", "---\n"]
)
def test_a_manifest_without_names_declares_none(manifest, text):
    """Nothing declared is the empty list, not an error and not everything."""
    assert declared(manifest(text)) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("secrets: [B, A, B]", ["B", "A"]),
        ("secrets: ['A', \"B_2\"]", ["A", "B_2"]),
        ("secrets: [{name: A, required: true}, B]", ["A", "B"]),
        ("secrets: [Y, N, TRUE]", ["Y", "N", "TRUE"]),
        ("a: &n [A]\nsecrets: *n", ["A"]),
        ('{"secrets": ["A"]}', ["A"]),
        ("\ufeffsecrets: [A]", ["A"]),
        ("secrets: [" + "A" * 128 + "]", ["A" * 128]),
        ("secrets: [A]\r\nname: x\r\n", ["A"]),
    ],
)
def test_names_are_taken_as_written(manifest, text, names):
    """Order is kept, repeats are dropped, and YAML's own words such as Y and TRUE are names here."""
    assert declared(manifest(text)) == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: x\nsecrets: A", "fiftyone.yml:2: `secrets` is a list of names"),
        ("secrets: {A: 1}", "fiftyone.yml:1: `secrets` is a list"),
        ("secrets:\n  - A\n  - lower_case", "fiftyone.yml:3: 'lower_case' is no secret's name"),
        ("secrets: [1]", "'1' is no secret's name"),
        ("secrets: [~]", "is no secret's name"),
        ("secrets: ['A B']", "is no secret's name"),
        ("secrets: ['A\\n']", "is no secret's name"),
        ("secrets: ['']", "is no secret's name"),
        ("secrets: ['*']", "is no secret's name"),
        ("secrets: ['" + "A" * 129 + "']", "is no secret's name"),
        ("secrets: [{key: A}]", "this is no secret's name"),
        ("secrets: [[A]]", "this is no secret's name"),
        ("secrets: &a [*a]", "this is no secret's name"),
        ("secrets: [A]\nsecrets: [B]", "fiftyone.yml:2: `secrets` is there twice"),
        ("- A\n", "a manifest is a mapping"),
        ("A", "a manifest is a mapping"),
        ("secrets: [A", "not YAML"),
        ("secrets: [A]\n---\nsecrets: [B]", "not YAML"),
        (b"secrets: [\xff]", "not YAML"),
        ("secrets: [A]\n\x00", "not YAML"),
        ("[" * 5000, "nested too deeply"),
        (b" " * (MAX_BYTES + 1), "longer than"),
    ],
)
def test_a_faulty_manifest_is_refused_whole(manifest, text, expected):
    """The message names file, line and remedy; a list with one bad item gives no names at all."""
    with pytest.raises(ManifestError, match=r"fiftyone\.yml") as caught:
        declared(manifest(text))
    assert expected in str(caught.value)


def test_a_tag_makes_no_object(manifest):
    """The file is the plugin's: reading it must not run anything."""
    path = manifest("x: !!python/object/apply:os.system ['exit 3']\nsecrets: [A]")
    assert declared(path) == ["A"]


def test_aliases_do_not_multiply(manifest):
    """A nest of aliases is read as the text that it is: twelve quintillion entries would have no end."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
    assert declared(manifest("\n".join([*lines, "secrets: [A]"]))) == ["A"]


def test_a_folder_stands_for_the_manifest_in_it(manifest, tmp_path):
    """`--manifest ./plugin` is enough; a folder without one says what was looked for."""
    with pytest.raises(ManifestError, match=r"looked for fiftyone\.yml, fiftyone\.yaml, egret\.yml"):
        declared(tmp_path)
    manifest("secrets: [OURS]", "egret.yaml")
    assert declared(str(tmp_path)) == ["OURS"]
    manifest("secrets: [THEIRS]", "fiftyone.yml")
    assert declared(tmp_path) == ["THEIRS"]


def test_a_missing_file_is_named(tmp_path):
    """No traceback, no guess."""
    with pytest.raises(ManifestError, match=r"absent\.yml: No such file"):
        declared(tmp_path / "absent.yml")
