"""Shapes that move through a simulated film: faces with a mouth, bodies with limbs, and objects with corners."""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int16

SPRITES = ("face", "body", "object")
"""The kinds of things in a film."""


@lru_cache(maxsize=2048)
def sprite(kind: str, size: int, variant: int, pose: int) -> tuple[Int16[np.ndarray, "s s"], Bool[np.ndarray, "s s"]]:
    """Draw one pose of a thing.

    Parameters
    ----------
    kind : str
        One of ``SPRITES``.
    size : int
        Pixels of its square.
    variant, pose : int
        Which of four looks, which of four phases of its movement (a face: 0 mouth closed, else open).

    Returns
    -------
    shade : array of shape (size, size)
        Luma relative to the thing's own grey.
    inside : array of shape (size, size)
        Where it covers the background.
    """
    y, x = np.mgrid[0:size, 0:size] / (size - 1) * 2 - 1
    draw = {"face": _face, "body": _body, "object": _object}[kind]
    shade, inside = draw(x, y, variant, pose)
    shade, inside = shade.astype(np.int16), inside.astype(bool)
    shade.flags.writeable = inside.flags.writeable = False
    return shade, inside


def _face(x: np.ndarray, y: np.ndarray, variant: int, pose: int) -> tuple[np.ndarray, np.ndarray]:
    inside = (x / 0.75) ** 2 + (y / 0.98) ** 2 < 1
    shade = 15 * x * (1 - 2 * (variant % 2))
    for side in (-1, 1):
        shade[(x - 0.3 * side) ** 2 / 0.02 + (y + 0.2) ** 2 / 0.008 < 1] = -80
        shade[(np.abs(x - 0.3 * side) < 0.17) & (np.abs(y + 0.38) < 0.04)] = -60
    shade[(np.abs(x) < 0.05) & (np.abs(y - 0.1) < 0.15)] += 25
    shade[(x / 0.3) ** 2 + ((y - 0.52) / (0.16 if pose else 0.04)) ** 2 < 1] = -90
    shade[inside & (y < -0.62 + 0.1 * variant * x)] = -70
    return shade, inside


def _body(x: np.ndarray, y: np.ndarray, variant: int, pose: int) -> tuple[np.ndarray, np.ndarray]:
    swing = 0.35 * np.sin(np.pi / 2 * pose + 0.4)
    if variant >= 2:  # on four legs
        inside = (x / 0.7) ** 2 + ((y + 0.1) / 0.3) ** 2 < 1
        inside |= (x - 0.75) ** 2 + (y + 0.4) ** 2 < 0.05
        for foot, phase in ((-0.5, 1), (-0.3, -1), (0.3, 1), (0.5, -1)):
            inside |= (np.abs(x - foot - phase * swing * (y - 0.1)) < 0.07) & (y > 0) & (y < 0.9)
    else:
        inside = (x**2 + (y + 0.75) ** 2 < 0.045) | ((np.abs(x) < 0.2) & (np.abs(y + 0.2) < 0.4))
        for side in (-1, 1):
            inside |= (np.abs(x - side * (0.14 + swing * (y - 0.2))) < 0.09) & (y > 0.1) & (y < 0.97)
            inside |= (np.abs(x - side * (0.28 + (0.3 + swing) * (y + 0.5))) < 0.07) & (y > -0.55) & (y < 0.1)
    return 30 * np.sign(np.sin(9 * y)) * (variant % 2) + 10 * x, inside


def _object(x: np.ndarray, y: np.ndarray, variant: int, pose: int) -> tuple[np.ndarray, np.ndarray]:
    turn = np.pi / 8 * pose
    u, v = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    inside = (
        np.maximum(np.abs(u), np.abs(v)) < 0.62,
        (np.abs(u) < 0.12) & (np.abs(v) < 0.9) | (np.abs(u) < 0.5) & (np.abs(v + 0.65) < 0.2),
        (u**2 + v**2 < 0.7) & (u**2 + v**2 > 0.2),
        np.abs(u) + np.abs(v) < 0.85,
    )[variant]
    return 40 * np.sign(u * v), inside
