"""The names that a plugin says it uses: the `secrets:` list of its manifest.

A manifest is the plugin's own YAML file, such as FiftyOne's `fiftyone.yml`. Of it Egret reads one key, at the top:

    secrets:
      - CVAT_URL
      - CVAT_PASSWORD

`egret run --manifest FILE` opens its session with exactly these names. A manifest without the key, or with an empty
list, declares nothing, and nothing is what the session then gets: the caller must pass the empty list on as "declared:
none" and never read it as "no limit". The file comes with the plugin, so it is untrusted: it can only narrow what a
session may use, its size is bounded, and no YAML tag makes an object.
"""

import re
from pathlib import Path
from typing import Final

import yaml

FILES: Final = ("fiftyone.yml", "fiftyone.yaml", "egret.yml", "egret.yaml")
"""What is looked for, in this order, when a folder is named."""

MAX_BYTES: Final = 1 << 20
"""Longest manifest that is read."""

_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,127}")


class ManifestError(ValueError):
    """The manifest cannot be read or declares something that is no name; the text says where and what to write."""


def declared(path: Path | str) -> list[str]:
    """Return the names that the manifest declares, in its order, each once; [] when it declares none.

    `path` is the file, or the plugin's folder. An item is a name, or a mapping with the name under `name` (the other
    keys are the plugin's). Raises ManifestError with file, line and remedy; never returns part of a faulty list.
    """
    file = _file(Path(path))
    root = _compose(file)
    if root is None or _null(root):
        return []
    if not isinstance(root, yaml.MappingNode):
        raise ManifestError(f"{_at(file, root)}: a manifest is a mapping with a `secrets:` list at the top")
    lists = [value for key, value in root.value if _scalar(key) == "secrets"]
    if len(lists) > 1:
        raise ManifestError(f"{_at(file, lists[1])}: `secrets` is there twice: keep one list")
    return _names(file, lists[0]) if lists else []


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in FILES:
        if (path / name).is_file():
            return path / name
    raise ManifestError(f"{path}: no manifest in this folder (looked for {', '.join(FILES)})")


def _compose(file: Path) -> yaml.Node | None:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"{file}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{file}: longer than {MAX_BYTES} bytes: this is no manifest")
    try:
        # Nodes, not objects: they know their lines, and an alias stays one node however often it is repeated.
        return yaml.compose(data, Loader=yaml.SafeLoader)
    except RecursionError:
        raise ManifestError(f"{file}: nested too deeply: this is no manifest") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        raise ManifestError(f"{where}: not YAML: {getattr(error, 'problem', None) or type(error).__name__}") from None


def _names(file: Path, node: yaml.Node) -> list[str]:
    if _null(node):
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise ManifestError(f"{_at(file, node)}: `secrets` is a list of names, one `- NAME` a line")
    return list(dict.fromkeys(_name(file, item) for item in node.value))


def _name(file: Path, item: yaml.Node) -> str:
    text = _scalar(item)
    if isinstance(item, yaml.MappingNode):
        text = next((_scalar(value) for key, value in item.value if _scalar(key) == "name"), None)
    if text is None or not _NAME.fullmatch(text):
        shown = "this" if text is None else repr(text[:130])
        raise ManifestError(
            f"{_at(file, item)}: {shown} is no secret's name: "
            "capital letters, digits and _, a letter first, 128 at most, e.g. API_TOKEN"
        )
    return text


def _null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _scalar(node: yaml.Node) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _at(file: Path, node: yaml.Node) -> str:
    return f"{file}:{node.start_mark.line + 1}"
