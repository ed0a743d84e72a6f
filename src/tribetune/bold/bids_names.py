"""What the name of a BOLD file says: BIDS entities, hemisphere, space, kind."""

import re
from pathlib import Path

from tribetune.bold.meshes import mesh_named
from tribetune.bold.run import entities_said

_SIDE = re.compile(r"(?:hemi-|(?:^|[._]))(L|R|lh|rh)(?=[._])")
_MESH = re.compile(r"\.(fsaverage[56]?|fsa[56])\.")
_SURFACES = ("_bold.func.gii", ".mgz", ".mgh")
_VOLUMES = ("_bold.nii.gz", "_bold.nii")
_CIFTI = "_bold.dtseries.nii"


def entities(path: Path) -> dict[str, str]:
    """BIDS entities of a file name, in the file's order: ``{"sub": "01", "task": "movie", ...}``."""
    return entities_said(path.name.split(".")[0])


def side_of(path: Path) -> str:
    """``L`` or ``R`` as a file's name says, ``hemi-L`` or FreeSurfer's ``lh``; empty where it says neither."""
    named = _SIDE.search(path.name)
    return named.group(1)[0].upper() if named else ""


def space_said(path: Path) -> str:
    """The space that a file's name says, meshes by one spelling; empty where it says none."""
    said = entities(path)
    if "space" in said:
        return mesh_named(said["space"], said.get("den", ""))
    named = _MESH.search(path.name)
    return mesh_named(named.group(1)) if named else ""


def kind_of(path: Path) -> str:
    """``surface``, ``volume`` or ``cifti`` for a preprocessed BOLD file of a BIDS dataset, empty for any other."""
    said = entities(path)
    if "task" not in said or not space_said(path):
        return ""
    if path.name.endswith(_CIFTI):
        return "cifti"
    if path.name.endswith(_SURFACES):
        return "surface" if side_of(path) and said.get("desc", "preproc") == "preproc" else ""
    return "volume" if path.name.endswith(_VOLUMES) and said.get("desc") == "preproc" else ""


def natural(label: str) -> tuple[int, str]:
    """Sort run 2 before run 10."""
    digits = re.search(r"\d+", label)
    return (int(digits.group()) if digits else 0, label)
