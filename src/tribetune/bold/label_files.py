"""Files that say which parcel or structure a place belongs to: annot, label GIFTI, CSV, and tables of names."""

import csv
import html
import re
from pathlib import Path
from xml.parsers.expat import ExpatError

import numpy as np
from jaxtyping import Int

from tribetune.bold.meshes import n_kept
from tribetune.errors import SpaceError
from tribetune.spaces import N_HEMISPHERE

Labels = tuple[Int[np.ndarray, " vertex"], dict[int, str]]
"""One value per vertex of a hemisphere, and the names of values, in order."""


def read_hemisphere(path: Path, side: str) -> Labels:
    """Read a FreeSurfer ``.annot`` or a ``.label.gii`` of one hemisphere.

    Parameters
    ----------
    path : Path
        On fsaverage5, fsaverage6 or fsaverage; of the latter two the first 10,242 vertices are taken (spec e.7).
    side : {"L", "R"}
        The hemisphere that it has to be.

    Raises
    ------
    SpaceError
        If it cannot be read, is of another size, or its name or header says another hemisphere, or none.
    """
    try:
        values, names, structure = (_gifti if path.suffix == ".gii" else _annot)(path)
    except (OSError, EOFError, ValueError, IndexError, KeyError, TypeError, ExpatError) as error:
        raise SpaceError(
            f"{path}: cannot be read as labels ({error})", hint="use lh and rh .annot or .label.gii files"
        ) from error
    _check_side(path, structure, side)
    if values.ndim != 1 or n_kept(values.shape[0]) != N_HEMISPHERE:
        raise SpaceError(
            f"{path}: {values.shape[0]:,} vertices, expected {N_HEMISPHERE:,} of a hemisphere of fsaverage5",
            hint="use the parcellation's fsaverage5, fsaverage6 or fsaverage version",
        )
    return values[:N_HEMISPHERE], names


def read_csv(path: Path, names: Path | None = None) -> tuple[Labels, Labels]:
    """Read one label per line, left hemisphere first: a number (0 or less for none) or a name.

    Raises
    ------
    SpaceError
        If there are not 20,484 labels, or one of them has no name in the table of names.
    """
    lines = [line.strip().strip('"') for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if len(lines) == 2 * N_HEMISPHERE + 1:  # a header
        lines = lines[1:]
    if len(lines) != 2 * N_HEMISPHERE:
        raise SpaceError(
            f"{path}: {len(lines):,} labels, expected one per vertex of fsaverage5 ({2 * N_HEMISPHERE:,})",
            hint="one label per line, left hemisphere first",
        )
    if all(re.fullmatch(r"-?\d+(\.0*)?", line) for line in set(lines)):
        values = np.array([int(float(line)) for line in lines])
        table = {value: str(value) for value in sorted(set(values.tolist())) if value > 0}
    else:
        words, values = np.unique(lines, return_inverse=True)
        values, table = values + 1, {value + 1: str(word) for value, word in enumerate(words)}
    if names is not None:
        unnamed = table.keys() - (table := read_names(names)).keys()
        if unnamed:
            raise SpaceError(
                f"{names}: no name for {sorted(unnamed)[:8]} of {path.name}", hint="mend the table of names"
            )
    return (values[:N_HEMISPHERE], table), (values[N_HEMISPHERE:], table)


def read_names(path: Path) -> dict[int, str]:
    """Read FSL's XML, or a TSV or CSV with columns ``index`` and ``name``: value in an image to name.

    Raises
    ------
    SpaceError
        If it is neither.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.suffix == ".xml":
        found = re.findall(r'<label[^>]*\bindex="(\d+)"[^>]*>([^<]*)<', text)
        # FSL counts structures from 0, its images from 1; it misspells the ventricles.
        named = {int(i) + 1: html.unescape(name).strip().replace("Ventrical", "Ventricle") for i, name in found}
    else:
        rows = csv.DictReader(text.splitlines(), delimiter="\t" if path.suffix == ".tsv" else ",")
        try:
            named = {int(row["index"]): row["name"].strip() for row in rows}
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise SpaceError(f"{path}: expected columns index and name", hint="mend the table of names") from error
    if not named:
        raise SpaceError(f"{path}: no names", hint="use FSL's XML, or a TSV with columns index and name")
    return named


def _annot(path: Path) -> tuple[np.ndarray, dict[int, str], str]:
    from nibabel.freesurfer import read_annot

    with path.open("rb") as file:  # nibabel believes these numbers, whatever they are
        n_vertices = int.from_bytes(file.read(4), "big")
        file.seek(4 + 8 * n_vertices)
        if not any(file.read(4)):
            raise ValueError(f"no {n_vertices} vertices with a colour table")
    values, _, names = read_annot(path)
    return values.astype(int), {k: name.decode() for k, name in enumerate(names)}, ""


def _gifti(path: Path) -> tuple[np.ndarray, dict[int, str], str]:
    import nibabel

    image = nibabel.gifti.GiftiImage.from_filename(path)
    values = np.asarray(image.darrays[0].data)
    meta = {**dict(image.darrays[0].meta or {}), **dict(image.meta or {})}
    named = {int(k): str(name) for k, name in image.labeltable.get_labels_as_dict().items()}
    return values.astype(int), named, meta.get("AnatomicalStructurePrimary", "")


def _check_side(path: Path, structure: str, side: str) -> None:
    """Refuse a file whose name or header names the other hemisphere, or where neither names one."""
    named = re.search(r"(?:hemi-|(?:^|[._-]))(L|R|lh|rh)(?=[._-])", path.name)
    said = {
        "its name": named[1][0].upper() if named else "",
        "AnatomicalStructurePrimary": {"cortexleft": "L", "cortexright": "R"}.get(structure.lower(), ""),
    }
    wrong = [source for source, found in said.items() if found and found != side]
    if wrong or not any(said.values()):
        fault = f"{wrong[0]} says {said[wrong[0]]}" if wrong else "nothing says which hemisphere it is"
        raise SpaceError(f"{path}: {fault}, expected {side}", hint="left first, then right; name files lh. and rh.")
