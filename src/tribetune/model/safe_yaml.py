"""YAML from strangers: three Python tags as plain values, no code, no alias bomb."""

from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tribetune.errors import CheckpointError

MAX_NODES = 100_000
"""Values a file may have with its aliases written out; an official config has about 1,500."""

MAX_BYTES = 5_000_000
"""Longest file that is parsed at all."""

_TAG = "tag:yaml.org,2002:python/"


class _ThreeTags(yaml.SafeLoader):
    """A safe loader that also knows the tags of official configs (spec c); any other tag is an error."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping.

    Parameters
    ----------
    path : Path
        A YAML file whose tags, if any, are tuples, POSIX paths (read as text) and ordered dictionaries.

    Returns
    -------
    dict of str to Any
        Plain values only.

    Raises
    ------
    CheckpointError
        If the file is missing, is not such YAML, or would unfold to more than ``MAX_NODES`` values.
    """
    return read_yaml_text(_text(path), path)


def read_yaml_text(text: str, path: Path) -> dict[str, Any]:
    """As `read_yaml`, of a text that was read from ``path``."""
    try:
        values = _parse(text)
    # numbers and dates that Python refuses, deep nesting, and unhashable keys surface as these
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as fault:
        reason = str(fault).replace("\n", " ") or type(fault).__name__
        raise CheckpointError(
            f"{path}: not safe YAML: {reason}", hint="only plain values are read; get the original file"
        ) from None
    if not isinstance(values, dict):
        raise CheckpointError(
            f"{path}: holds {type(values).__name__}, expected a mapping", hint="get the original file"
        )
    return values


def _text(path: Path) -> str:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file", hint=f"put {path.name} beside the weights")
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path}: longer than {MAX_BYTES:,} bytes", hint="get the original file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        raise CheckpointError(f"{path}: not safe YAML: {fault}", hint="get the original file") from fault


def _parse(text: str) -> Any:
    loader = _ThreeTags(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        if _unfolded(root, {}) > MAX_NODES:
            raise ValueError(f"its aliases unfold to more than {MAX_NODES:,} values")
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _unfolded(node: yaml.Node, known: dict[int, int]) -> int:
    """Values below a node with every alias written out; each node is visited once, so a bomb is cheap to weigh."""
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError("a value contains itself")
        return known[id(node)]
    known[id(node)] = 0
    below: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    known[id(node)] = 1 + sum(_unfolded(part, known) for part in below)
    return known[id(node)]


def _tuple(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


def _path(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> str:
    return str(PurePosixPath(*loader.construct_sequence(node, deep=True)))


def _ordered(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> dict[Any, Any]:
    arguments = loader.construct_sequence(node, deep=True)
    return dict(arguments[0]) if arguments else {}


_ThreeTags.add_constructor(_TAG + "tuple", _tuple)
_ThreeTags.add_constructor(_TAG + "object/apply:pathlib.PosixPath", _path)
_ThreeTags.add_constructor(_TAG + "object/apply:collections.OrderedDict", _ordered)
