"""Files as datasets have them, of seconds: volumes, CIFTI, films, sounds, words."""

import wave
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import nibabel
import numpy as np

VOXEL_MM = 12
HZ = 16000
FPS = 2

Word = tuple[float, float, str]
"""Onset and end in seconds, and text."""


def write_volume(path: Path, n_trs: int, t_r: float, rng: np.random.Generator) -> None:
    """A volume in MNI space that covers the whole cortex; every voxel varies."""
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = -96, -132, -84
    values = 1000 + 10 * rng.standard_normal((17, 20, 18, n_trs), np.float32)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((*(VOXEL_MM,) * 3, t_r))
    _inside(path)
    nibabel.save(image, path)


def write_surface(path: Path, n_trs: int, t_r: float, n_vertices: int, rng: np.random.Generator) -> None:
    """One hemisphere of a mesh, an array per volume, as fMRIPrep writes it: the step in ms, the side in the header."""
    side = "CortexLeft" if "hemi-L" in path.name else "CortexRight"
    meta = nibabel.gifti.GiftiMetaData({"AnatomicalStructurePrimary": side, "TimeStep": f"{1000 * t_r:f}"})
    values = 1000 + 10 * rng.standard_normal((n_trs, n_vertices), np.float32)
    kind = {"intent": "NIFTI_INTENT_TIME_SERIES", "encoding": "GIFTI_ENCODING_B64BIN"}
    _inside(path)
    nibabel.save(nibabel.GiftiImage(meta=meta, darrays=[nibabel.gifti.GiftiDataArray(v, **kind) for v in values]), path)


def write_cifti(path: Path, n_trs: int, t_r: float, rng: np.random.Generator) -> None:
    """A dense time series of both hemispheres of the 32k mesh without their medial walls, and a few voxels below."""
    axes = []
    for side, inside in (("left", 29696), ("right", 29716)):
        mask = np.zeros(32492, bool)
        mask[:inside] = True
        axes.append(nibabel.cifti2.BrainModelAxis.from_mask(mask, name=f"cortex_{side}"))
    below = np.zeros((4, 4, 4), bool)
    below[1:3, 1:3, 1:3] = True
    axes.append(nibabel.cifti2.BrainModelAxis.from_mask(below, name="thalamus_left", affine=np.diag([2.0, 2, 2, 1])))
    models = axes[0] + axes[1] + axes[2]
    series = nibabel.cifti2.SeriesAxis(0, t_r, n_trs, "second")
    values = 1000 + 10 * rng.standard_normal((n_trs, len(models)), np.float32)
    _inside(path)
    nibabel.save(nibabel.Cifti2Image(values, (series, models)), path)


def write_sound(path: Path, seconds: float, rng: np.random.Generator) -> None:
    """A WAV of noise, another with every call."""
    _inside(path)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, HZ, 0, "NONE", ""))
        file.writeframes((3000 * rng.standard_normal(round(seconds * HZ))).astype("<i2").tobytes())


Clip = tuple[int, int, np.random.Generator]
"""Onset and duration in seconds of a stretch of a film, and what it is made of."""


def write_film(
    path: Path, seconds: float, rng: np.random.Generator, *, with_sound: bool = True, clip: Clip | None = None
) -> None:
    """A film of random pictures, with noise; a clip is the same in every film that has it."""
    import av

    _inside(path)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=FPS, options={"qscale": "5"})
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        track = container.add_stream("aac", rate=HZ, layout="mono") if with_sound else None
        for frame in range(round(seconds * FPS)):
            within = clip is not None and clip[0] * FPS <= frame < (clip[0] + clip[1]) * FPS
            source = clip[2] if clip is not None and within else rng
            blocks = source.integers(0, 255, (8, 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(blocks, format="rgb24")))
        container.mux(picture.encode())
        if track is not None:
            for piece in _sound_frames(round(seconds * HZ), rng, clip):
                container.mux(track.encode(piece))
            container.mux(track.encode())


def _sound_frames(n_samples: int, rng: np.random.Generator, clip: Clip | None) -> Iterator:
    import av

    samples = (0.1 * rng.standard_normal((1, n_samples))).astype(np.float32)
    if clip is not None:
        samples[0, clip[0] * HZ : (clip[0] + clip[1]) * HZ] = 0.1 * clip[2].standard_normal(clip[1] * HZ)
    for start in range(0, n_samples - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(samples[:, start : start + 1024].copy(), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = HZ, start, Fraction(1, HZ)
        yield frame


def random_words(seconds: float, rng: np.random.Generator) -> list[Word]:
    """Two words a second of random letters, so that no two runs say the same."""
    onsets = np.arange(0.5, seconds - 0.5, 0.5)
    return [(float(on), float(on) + 0.4, "".join(rng.choice(list("abcdefghij"), 5))) for on in onsets]


def write_text_grid(path: Path, tiers: Mapping[str, Sequence[Word]], seconds: float, silence: str = "#") -> None:
    """A TextGrid in Praat's long form, with tiers of intervals."""
    text = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
    text += f"xmin = 0 \nxmax = {seconds:g} \ntiers? <exists> \nsize = {len(tiers)} \nitem []: \n"
    for number, (tier, words) in enumerate(tiers.items(), 1):
        text += f'    item [{number}]:\n        class = "IntervalTier" \n        name = "{tier}" \n'
        spans, at = [], 0.0
        for onset, end, said in words:
            spans += [(at, onset, silence), (onset, end, said)]
            at = end
        spans.append((at, seconds, silence))
        text += f"        xmin = 0 \n        xmax = {seconds:g} \n        intervals: size = {len(spans)} \n"
        for k, (onset, end, said) in enumerate(spans, 1):
            text += f"        intervals [{k}]:\n            xmin = {onset:g} \n            xmax = {end:g} \n"
            text += f'            text = "{said}" \n'
    _inside(path)
    path.write_text(text, encoding="utf-8")


def _inside(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
