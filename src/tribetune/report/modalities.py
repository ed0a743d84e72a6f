"""A map of what each modality alone contributes, as red, green and blue on the cortex."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tribetune.evaluate.unique import PRIMARIES, modality_colours
from tribetune.files import whole
from tribetune.report.surface import VIEWS, drawing, paint_faces
from tribetune.spaces import FSAVERAGE5, N_HEMISPHERE

_PAINTS = {"text": "#c0392b", "audio": "#2e8b57", "video": "#2c5aa0"}
"""Of the words in the legend: the primaries themselves are too bright to read."""


def modality_map(unique: Mapping[str, Float[np.ndarray, " vertex"]], path: Path, *, title: str) -> None:
    """Draw unique contributions in four views; the file appears when it is whole.

    Parameters
    ----------
    unique : mapping of modality to array of shape (20484,)
        As `tribetune.evaluate.unique.contributions` gives them of one modality each, left hemisphere first.
    path : Path
        A PNG file; its folder is made.
    title : str
        Above the picture.

    Raises
    ------
    SpaceError
        If a map has not one value per vertex.
    """
    from matplotlib.figure import Figure

    for name, values in unique.items():
        FSAVERAGE5.check(len(values), f"unique contribution of {name}")
    colours = modality_colours(unique)
    figure = Figure(figsize=(10, 2.8), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=13, fontweight="bold")
    for axes, (hemisphere, view) in zip(figure.subplots(1, len(VIEWS)), VIEWS, strict=True):
        seen = drawing(hemisphere, view)
        half = colours[:N_HEMISPHERE] if hemisphere == "left" else colours[N_HEMISPHERE:]
        paint_faces(axes, seen, half[seen.vertices].mean(1))  # undefined where a corner is
        axes.set_title(f"{hemisphere} {view}", fontsize=9, color="0.35")
    shown = [name for name in PRIMARIES if name in unique]
    for place, name in enumerate(shown):
        figure.text(0.3 + 0.15 * place, 0.03, f"■ {name} alone", color=_PAINTS[name], fontsize=9)
    figure.text(0.3 + 0.15 * len(shown), 0.03, "black: none; grey: not defined", fontsize=9, color="0.35")
    with whole(path) as part:
        figure.savefig(part, format="png", dpi=160)
