"""Maps of scores on the inflated fsaverage5 surface, four views in a row, as PNG."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int

from tribetune.digits import rounded
from tribetune.files import whole
from tribetune.spaces import FSAVERAGE5, N_HEMISPHERE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

Hemisphere = Literal["left", "right"]
Scale = Literal["sequential", "symmetric"]

VIEWS: tuple[tuple[Hemisphere, str], ...] = (
    ("left", "lateral"),
    ("left", "medial"),
    ("right", "medial"),
    ("right", "lateral"),
)
UNDEFINED_COLOUR = (0.72, 0.72, 0.72)
SEQUENTIAL = ("#f2f0ec", "#fbe3b0", "#fdb863", "#ee6a3b", "#bb2649", "#5b1247")
"""Cortex without a score to the highest score: light to dark, so that it also reads without colour."""
SYMMETRIC = ("#1b3a6b", "#5b8fc4", "#f2f0ec", "#e0763f", "#7d1d28")


@dataclass(frozen=True)
class Drawing:
    """One view of one hemisphere on paper.

    Attributes
    ----------
    corners : array of shape (n_faces, 3, 2)
        The triangles that face the viewer, farthest first; millimetres, up is up.
    vertices : array of shape (n_faces, 3)
        The mesh's vertices that they join.
    shade : array of shape (n_faces,)
        Brightness between 0 and 1: light from the viewer, sulci darker.
    """

    corners: Float[np.ndarray, "face 3 2"]
    vertices: Int[np.ndarray, "face 3"]
    shade: Float[np.ndarray, " face"]


def surface_map(
    values: Float[np.ndarray, " vertex"],
    title: str,
    path: Path,
    *,
    label: str = "Pearson r",
    scale: Scale = "sequential",
) -> None:
    """Draw one map; as `score_maps` with a single, unnamed row."""
    score_maps({"": values}, path, title=title, label=label, scale=scale)


def score_maps(
    maps: Mapping[str, Float[np.ndarray, " vertex"]],
    path: Path,
    *,
    title: str = "Encoding score on held-out data",
    label: str = "Pearson r",
    scale: Scale = "sequential",
) -> None:
    """Draw maps below each other on one colour scale; the file appears when it is whole.

    Parameters
    ----------
    maps : mapping from str to array of shape (20484,)
        Name of a row to its scores on fsaverage5, left hemisphere first; NaN, where undefined, is drawn grey.
    path : Path
        A PNG file; its folder is made.
    title : str
        Above the picture.
    label : str
        What the colours measure.
    scale : {"sequential", "symmetric"}
        From zero upward (what is negative looks like zero), or both ways around zero.

    Raises
    ------
    SpaceError
        If a map has not one value per vertex.
    ValueError
        If there is no map.
    """
    if not maps:
        raise ValueError("no map to draw")
    for name, values in maps.items():
        FSAVERAGE5.check(len(values), f"map {name!r}" if name else "map")
    figure = _figure(maps, title, label, scale)
    with whole(path) as part:
        figure.savefig(part, format="png", dpi=160)


def _figure(maps: Mapping[str, Float[np.ndarray, " vertex"]], title: str, label: str, scale: Scale) -> "Figure":
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    colours, norm = _colours(np.concatenate(list(maps.values())), scale)
    figure = Figure(figsize=(10, 1.2 + 1.42 * len(maps)), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=13, fontweight="bold")
    grid = np.atleast_2d(figure.subplots(len(maps), len(VIEWS)))
    for axes_row, (name, values) in zip(grid, maps.items(), strict=True):
        for axes, (hemisphere, view) in zip(axes_row, VIEWS, strict=True):
            _draw(axes, drawing(hemisphere, view), _half(values, hemisphere), colours, norm)
        _name_row(axes_row[0], name, values)
    for axes, (hemisphere, view) in zip(grid[0], VIEWS, strict=True):
        axes.set_title(f"{hemisphere} {view}", fontsize=9, color="0.35")
    ends = "max" if scale == "sequential" else "both"
    bar = figure.colorbar(
        ScalarMappable(norm, colours), ax=grid, location="bottom", shrink=0.3, aspect=30, pad=0.02, extend=ends
    )
    bar.set_label(f"{label}   (grey: not defined)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return figure


def _draw(
    axes: "Axes", seen: Drawing, values: Float[np.ndarray, " vertex"], colours: "Colormap", norm: "Normalize"
) -> None:
    faces = _face_means(values[seen.vertices])
    paint_faces(axes, seen, np.where(np.isnan(faces)[:, None], np.nan, colours(norm(np.nan_to_num(faces)))[:, :3]))


def paint_faces(axes: "Axes", seen: Drawing, colours: Float[np.ndarray, "face 3"]) -> None:
    """Draw one view with a colour per triangle, from 0 to 1; NaN, where undefined, is grey."""
    from matplotlib.collections import PolyCollection

    paint = np.where(np.isnan(colours).any(1, keepdims=True), UNDEFINED_COLOUR, colours) * seen.shade[:, None]
    axes.add_collection(PolyCollection(list(seen.corners), facecolors=paint, edgecolors=paint, linewidths=0.25))
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


@cache
def drawing(hemisphere: Hemisphere, view: str) -> Drawing:
    """Project a hemisphere of nilearn's fsaverage5 onto paper, seen from the side or from the middle."""
    from nilearn.datasets import load_fsaverage, load_fsaverage_data

    mesh = load_fsaverage("fsaverage5")["inflated"].parts[hemisphere]
    depth = load_fsaverage_data(mesh="fsaverage5", mesh_type="inflated", data_type="sulcal").data.parts[hemisphere]
    toward = 1.0 if (hemisphere == "right") == (view == "lateral") else -1.0  # where on the x axis the viewer is
    points = mesh.coordinates.astype(float)
    corners = points[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = toward * normal[:, 0] / np.linalg.norm(normal, axis=1)
    middle = toward * corners[:, :, 0].mean(axis=1)
    seen = np.argsort(middle)
    seen = seen[facing[seen] > 0]
    paper = np.stack([toward * points[:, 1], points[:, 2]], axis=1)
    sulcus = np.clip(depth[mesh.faces[seen]].mean(axis=1), -1, 1)
    shade = (0.72 + 0.28 * np.sqrt(facing[seen])) * (0.955 - 0.045 * np.sign(sulcus) * np.abs(sulcus) ** 0.3)
    return Drawing(paper[mesh.faces[seen]], mesh.faces[seen], np.clip(shade, 0, 1))


def _half(values: Float[np.ndarray, " vertex"], hemisphere: Hemisphere) -> Float[np.ndarray, " half"]:
    half = values[:N_HEMISPHERE] if hemisphere == "left" else values[N_HEMISPHERE:]
    return np.asarray(half, dtype=float)


def _face_means(corners: Float[np.ndarray, "face 3"]) -> Float[np.ndarray, " face"]:
    """Mean of a triangle's defined corners; NaN when most of them are undefined."""
    defined = ~np.isnan(corners)
    count = defined.sum(axis=1)
    total = np.where(defined, corners, 0.0).sum(axis=1)
    return np.where(count >= 2, total / np.maximum(count, 1), np.nan)


def _colours(values: Float[np.ndarray, " value"], scale: Scale) -> tuple["Colormap", "Normalize"]:
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    size = np.abs(values[~np.isnan(values)]) if scale == "symmetric" else np.maximum(values[~np.isnan(values)], 0)
    top = max(float(np.percentile(size, 99.5)), 0.05) if len(size) else 1.0
    names = SYMMETRIC if scale == "symmetric" else SEQUENTIAL
    return LinearSegmentedColormap.from_list(scale, names), Normalize(-top if scale == "symmetric" else 0.0, top)


def _name_row(axes: "Axes", name: str, values: Float[np.ndarray, " vertex"]) -> None:
    defined = values[~np.isnan(values)]
    count = f"mean {rounded(defined.mean())}\nn = {len(defined):,}" if len(defined) else "not defined"
    left: dict[str, Any] = {"x": -0.08, "y": 0.5, "ha": "right", "transform": axes.transAxes}
    axes.text(s=name, va="bottom", fontsize=11, fontweight="bold", **left)
    axes.text(s=count, va="top", fontsize=8, color="0.35", **left)
