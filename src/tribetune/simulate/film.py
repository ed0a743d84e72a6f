"""The picture of a film: scenes with cuts, textures, places, moving faces, bodies and objects."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from tribetune.simulate.language import Story
from tribetune.simulate.settings import FRAME_HEIGHT, FRAME_HZ, FRAME_WIDTH, draw
from tribetune.simulate.sprites import SPRITES, sprite
from tribetune.simulate.vocabulary import TOPICS

__all__ = ["Actor", "Scene", "plan_scenes", "render"]

_TILE = 256
_KIND_OF_CATEGORY = {
    **dict.fromkeys(("people", "speech", "emotion", "thought"), "face"),
    **dict.fromkeys(("body", "motion", "animals"), "body"),
    **dict.fromkeys(("tools", "food", "numbers"), "object"),
}


@dataclass(frozen=True)
class Actor:
    """Something that moves in a scene: a kind of ``SPRITES``, its size, place and speed in pixels (per frame)."""

    kind: str
    size: int
    place: tuple[float, float]
    speed: tuple[float, float]
    grey: int
    variant: int


@dataclass(frozen=True)
class Scene:
    """What is on screen between two cuts.

    Attributes
    ----------
    start, stop : int
        Frames.
    luminance, contrast : float
        Mean and SD of the background's luma, 0 to 255.
    fineness : float
        Spatial scale of the texture in pixels.
    place : bool
        Whether the background is built of walls and edges rather than of texture.
    drift : tuple of float
        Camera movement in pixels per frame, (down, right).
    fade : float
        Change of luminance over the scene.
    colour : tuple of int
        Chroma of the background, (u, v).
    actors : tuple of Actor
    """

    start: int
    stop: int
    luminance: float
    contrast: float
    fineness: float
    place: bool
    drift: tuple[float, float]
    fade: float
    colour: tuple[int, int]
    actors: tuple[Actor, ...]


def plan_scenes(seed: int, run: int, story: Story) -> tuple[Scene, ...]:
    """Cut a film into scenes of 1.2-12 s, about 4 s on average (Cutting et al. 2011), that suit the story."""
    rng = draw(seed, "film", run)
    n_frames = round(story.duration_s * FRAME_HZ)
    scenes, frame = [], 0
    while frame < n_frames:
        length = float(np.clip(rng.lognormal(np.log(3.4), 0.55), 1.2, 12.0))
        stop = min(n_frames, frame + round(length * FRAME_HZ))
        if n_frames - stop < FRAME_HZ:
            stop = n_frames
        topic = list(TOPICS.values())[story.topic_at((frame + stop) / 2 / FRAME_HZ)]
        talking = any(s.onset_s * FRAME_HZ < stop and s.offset_s * FRAME_HZ > frame for s in story.sentences)
        scenes.append(_scene(rng, (frame, stop), topic, talking))
        frame = stop
    return tuple(scenes)


def render(
    scene: Scene, seed: int, mouth_open: Bool[np.ndarray, " time"]
) -> tuple[UInt8[np.ndarray, "time h w"], Float[np.ndarray, "time kind"]]:
    """Draw a scene.

    Parameters
    ----------
    scene : Scene
    seed : int
        Chooses the texture.
    mouth_open : array of shape (n_frames,)
        Whether someone speaks, for the faces' mouths.

    Returns
    -------
    luma : array of shape (n_frames, 120, 160)
    area : array of shape (n_frames, n_kinds)
        Share of the screen that each kind of ``SPRITES`` covers.
    """
    n = scene.stop - scene.start
    rng = draw(seed, "texture", scene.start)
    tile = _background(rng, scene)
    steps = np.arange(n)
    shake = rng.normal(0, 0.25, (n, 2)).cumsum(0)
    rows = (np.rint(scene.drift[0] * steps + shake[:, 0])[:, None].astype(int) + np.arange(FRAME_HEIGHT)) % _TILE
    columns = (np.rint(scene.drift[1] * steps + shake[:, 1])[:, None].astype(int) + np.arange(FRAME_WIDTH)) % _TILE
    luma = tile[rows[:, :, None], columns[:, None, :]]
    if abs(scene.fade) > 1:
        ramp = np.rint(np.linspace(-0.5, 0.5, n) * scene.fade).astype(np.int16)
        luma = np.clip(luma + ramp[:, None, None], 16, 235).astype(np.uint8)
    area = np.zeros((n, len(SPRITES)), np.float32)
    for actor in scene.actors:
        _act(luma, area, actor, mouth_open)
    return luma, area


def _scene(rng: np.random.Generator, span: tuple[int, int], topic: dict[str, float], talking: bool) -> Scene:
    kinds = {"face": 0.15 + 0.5 * talking, "body": 0.15, "object": 0.15, "none": 0.3}
    for category, weight in topic.items():
        kind = _KIND_OF_CATEGORY.get(category, "none")
        kinds[kind] += 0.4 * weight
    odds = np.array(list(kinds.values())) / sum(kinds.values())
    kind = str(rng.choice(list(kinds), p=odds))
    outdoors = topic.get("places", 0) + topic.get("nature", 0)
    energy = float(rng.gamma(1.5, 0.6)) * (1 + 0.8 * topic.get("motion", 0))
    angle = float(rng.uniform(0, 2 * np.pi))
    return Scene(
        start=span[0],
        stop=span[1],
        luminance=float(np.clip(rng.normal(105 + 20 * min(outdoors, 1), 38), 30, 215)),
        contrast=float(np.clip(rng.gamma(4, 8), 4, 70)),
        fineness=float(np.exp(rng.uniform(np.log(1.0), np.log(12.0)))),
        place=bool(rng.random() < (0.25 + 0.35 * min(outdoors, 1) + 0.2 * (kind == "none"))),
        drift=(0.5 * energy * np.sin(angle), energy * np.cos(angle)),
        fade=float(rng.normal(0, 25)) if rng.random() < 0.3 else 0.0,
        colour=(int(rng.integers(104, 152)), int(rng.integers(104, 152))),
        actors=tuple(_actor(rng, kind, energy) for _ in range(0 if kind == "none" else int(rng.integers(1, 4)))),
    )


def _actor(rng: np.random.Generator, kind: str, energy: float) -> Actor:
    size = int(rng.integers(36, 84)) if kind == "face" else int(rng.integers(24, 72))
    fast = 0.4 if kind == "face" else 1.4
    return Actor(
        kind,
        size,
        (float(rng.uniform(0, FRAME_HEIGHT - size)), float(rng.uniform(0, FRAME_WIDTH - size))),
        (float(rng.normal(0, 0.4 * fast * (0.5 + energy))), float(rng.normal(0, fast * (0.5 + energy)))),
        int(rng.integers(60, 220)),
        int(rng.integers(4)),
    )


def _background(rng: np.random.Generator, scene: Scene) -> UInt8[np.ndarray, "256 256"]:
    """A tile that repeats without a seam: smoothed noise, or walls, windows and edges for a place."""
    if scene.place:
        tile = np.zeros((_TILE, _TILE), np.float32)
        for _ in range(26):
            height, width = rng.integers(8, 120, 2)
            row, column = rng.integers(0, _TILE, 2)
            rows, columns = np.arange(row, row + height) % _TILE, np.arange(column, column + width) % _TILE
            tile[np.ix_(rows, columns)] = rng.normal()
            tile[np.ix_(rows[:2], columns)] = 2.0
            tile[np.ix_(rows, columns[:2])] = -2.0
    else:
        tile = _blurred(rng.standard_normal((_TILE, _TILE)), scene.fineness)
    tile = (tile - tile.mean()) / tile.std()
    return np.clip(np.rint(scene.luminance + scene.contrast * tile), 16, 235).astype(np.uint8)


def _blurred(noise: np.ndarray, pixels: float) -> np.ndarray:
    """Noise blurred by a Gaussian of that SD, plus twice as much of a four times wider one, without a seam."""
    cycles = np.hypot(np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE))
    narrow, wide = (np.exp(-2 * (np.pi * cycles * width) ** 2) for width in (pixels, 4.1 * pixels))
    return np.fft.irfft2(np.fft.rfft2(noise) * (narrow + 2 * wide), (_TILE, _TILE))


def _act(luma: np.ndarray, area: np.ndarray, actor: Actor, mouth_open: Bool[np.ndarray, " time"]) -> None:
    """Paste an actor into every frame; it turns back at the edges of the screen."""
    looks = [sprite(actor.kind, actor.size, actor.variant, pose) for pose in range(4)]
    steps = np.arange(len(luma))
    tops = _bounce(actor.place[0] + actor.speed[0] * steps, FRAME_HEIGHT - actor.size)
    lefts = _bounce(actor.place[1] + actor.speed[1] * steps, FRAME_WIDTH - actor.size)
    poses = steps // 3 % 4 if np.hypot(*actor.speed) > 0.3 else 0 * steps
    if actor.kind == "face":
        poses = (mouth_open & (steps % 3 > 0)).astype(int)
    for t in steps:
        shade, inside = looks[poses[t]]
        window = luma[t, tops[t] : tops[t] + actor.size, lefts[t] : lefts[t] + actor.size]
        np.copyto(window, np.clip(actor.grey + shade, 16, 235).astype(np.uint8), where=inside)
    area[:, SPRITES.index(actor.kind)] += looks[0][1].mean() * actor.size**2 / (FRAME_HEIGHT * FRAME_WIDTH)


def _bounce(place: np.ndarray, room: int) -> np.ndarray:
    """Positions reflected at 0 and ``room``, in whole pixels."""
    folded = np.mod(place, 2 * room)
    return np.rint(np.where(folded > room, 2 * room - folded, folded)).astype(int)
