"""Predicted BOLD in files that other tools read: GIFTI for surfaces, TSV for tables."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tribetune.files import whole, write_json
from tribetune.spaces import FSAVERAGE5, N_HEMISPHERE
from tribetune.timing import OUTPUT_HZ

_STRUCTURES = {"L": "CortexLeft", "R": "CortexRight"}


def write_prediction(
    values: Float[np.ndarray, "time output"], space: str, folder: Path, stem: str, facts: Mapping[str, Any]
) -> list[Path]:
    """Write a predicted time series at 1 Hz, bit for bit; all of its files appear whole, or none does.

    Parameters
    ----------
    values : array of shape (n_samples, n_outputs)
        float32.
    space : str
        ``fsaverage5`` gives one GIFTI per hemisphere, one array per sample; ``table`` a TSV with a row per sample.
    folder : Path
        Made where it does not exist.
    stem : str
        Start of the file names: BIDS entities.
    facts : mapping
        More plain values for the JSON sidecar: the lag, and how windows were joined.

    Returns
    -------
    list of Path
        What was written.
    """
    values = np.ascontiguousarray(values, np.float32)
    if space == FSAVERAGE5.name:
        FSAVERAGE5.check(values.shape[1], stem)
        sides = {"L": values[:, :N_HEMISPHERE], "R": values[:, N_HEMISPHERE:]}
        paths = {hemi: folder / _surface_name(stem, hemi) for hemi in sides}
        with ExitStack() as all_or_none:
            for hemi, side in sides.items():
                _write_gifti(side, hemi, all_or_none.enter_context(whole(paths[hemi])))
    else:
        paths = {"": folder / f"{stem}_bold.tsv"}
        with whole(paths[""]) as part:
            _write_tsv(values, part)
    told = {"RepetitionTime": 1 / OUTPUT_HZ, "Units": "z", "SpatialReference": space}
    write_json(folder / f"{stem}_bold.json", told | dict(facts))
    return list(paths.values())


def _surface_name(stem: str, hemi: str) -> str:
    """BIDS order: the hemisphere and space go before statistic and description."""
    place = re.search("_(stat|desc)-", stem)
    entities, rest = (stem[: place.start()], stem[place.start() :]) if place else (stem, "")
    return f"{entities}_hemi-{hemi}_space-{FSAVERAGE5.name}{rest}_bold.func.gii"


def _write_gifti(values: Float[np.ndarray, "time vertex"], hemi: str, path: Path) -> None:
    import nibabel as nib
    from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData

    step = {"TimeStep": f"{1000 / OUTPUT_HZ:.1f}"}  # milliseconds, as GIFTI wants it
    arrays = [
        GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES", datatype="NIFTI_TYPE_FLOAT32",
                       encoding="GIFTI_ENCODING_B64BIN", meta=GiftiMetaData(step))
        for row in values
    ]  # fmt: skip
    meta = GiftiMetaData({"AnatomicalStructurePrimary": _STRUCTURES[hemi], **step})
    nib.save(GiftiImage(meta=meta, darrays=arrays), path)


def _write_tsv(values: Float[np.ndarray, "time output"], path: Path) -> None:
    # Nine digits bring every float32 back bit for bit.
    header = "\t".join(f"output-{k + 1}" for k in range(values.shape[1]))
    np.savetxt(path, values, fmt="%.9g", delimiter="\t", header=header, comments="")
