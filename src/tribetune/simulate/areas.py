"""Where areas sit on simulated cortex, what they respond to, and how much of a run's variance that explains."""

from dataclasses import dataclass, field

__all__ = ["AREAS", "Area"]


@dataclass(frozen=True)
class Area:
    """An area of both hemispheres.

    Attributes
    ----------
    name : str
    centre_mm : tuple of float
        MNI coordinates in the left hemisphere, rounded from the literature; the right one is mirrored.
    size_mm : float
        SD of its Gaussian outline on the sphere of 100 mm radius.
    peak_r : float
        Order of the ideal single-run score at its centre.
    sensory : bool
        Primary and secondary sensory cortex, or association cortex.
    weights : dict
        Weight of each stimulus property; ``other_*`` is the property in the opposite half of the visual field.
    right : float
        Gain of the right hemisphere over the left.
    """

    name: str
    centre_mm: tuple[float, float, float]
    size_mm: float
    peak_r: float
    sensory: bool
    weights: dict[str, float] = field(default_factory=dict)
    right: float = 1.0


def _meaning(*names: str, word: float = 1.0, context: float = 0.0) -> dict[str, float]:
    """Weights on the meaning of single words and on their slow context."""
    weights = {f"means_{name}": word for name in names} | {f"context_{name}": context for name in names}
    return {name: weight for name, weight in weights.items() if weight}


AREAS: tuple[Area, ...] = (
    Area("V1", (-10, -88, 2), 14, 0.66, True,
         {"other_luminance": 1, "other_contrast": 1.2, "fine": 0.8, "other_motion": 0.6, "cut": 0.7, "flicker": 0.4}),
    Area("V2d", (-18, -94, 18), 12, 0.58, True,
         {"other_contrast": 1, "fine": 1, "other_motion": 0.6, "cut": 0.6, "other_luminance": 0.4}),
    Area("V2v", (-14, -76, -10), 12, 0.58, True,
         {"other_contrast": 1, "fine": 1, "colour": 0.7, "cut": 0.5, "other_luminance": 0.4}),
    Area("V4", (-28, -78, -14), 10, 0.48, True,
         {"colour": 1, "fine": 0.8, "object": 0.6, "face": 0.4, "other_contrast": 0.5}),
    Area("MT", (-45, -70, 4), 12, 0.56, True,
         {"other_motion": 1.2, "camera": 0.9, "body": 0.5, "cut": 0.5, "music_x_motion": 0.3}),
    Area("LO", (-42, -82, -4), 12, 0.48, True, {"object": 1, "face": 0.6, "body": 0.6, "fine": 0.5, "cut": 0.4}),
    Area("EBA", (-48, -76, 12), 9, 0.42, True, {"body": 1.2, "camera": 0.4, "face": 0.4, "means_motion": 0.3}),
    Area("FFA", (-40, -52, -20), 10, 0.48, True, {"face": 1.3, "voice_x_face": 0.6, "body": 0.4, "object": -0.3}, 1.25),
    Area("PPA", (-26, -44, -12), 10, 0.46, True, {"place": 1.3, "fine": 0.4, "context_places": 0.4, "face": -0.4}),
    Area("OPA", (-32, -84, 22), 10, 0.40, True, {"place": 1, "camera": 0.6, "other_motion": 0.4}),
    Area("RSC", (-14, -58, 14), 10, 0.34, False, {"place": 0.8, "context_places": 0.9, "theme_2": 0.6, "camera": 0.3}),
    Area("A1", (-42, -24, 10), 12, 0.66, True,
         {"envelope": 1.2, "band_low": 0.7, "band_mid": 0.7, "band_high": 0.6, "onset": 0.6, "pitch": 0.5}),
    Area("PT", (-56, -30, 12), 12, 0.58, True,
         {"envelope": 0.8, "voice": 0.8, "onset": 0.7, "music": 0.6, "pitch": 0.6, "noise": 0.3}),
    Area("aSTG", (-54, -4, -4), 12, 0.52, True,
         {"music": 1, "voice": 0.8, "pitch": 0.7, "noise": 0.4, "words": 0.4}, 1.1),
    Area("mSTS", (-60, -22, -2), 13, 0.52, True,
         {"voice": 1, "words": 0.8, "pitch": 0.5, "voice_x_face": 0.5, "content": 0.4}),
    Area("pSTS", (-54, -48, 10), 13, 0.42, False,
         {"voice_x_face": 1, "face": 0.5, "body": 0.5, "words": 0.6,
          **_meaning("people", "speech", word=0.5, context=0.4)}, 1.1),
    Area("MTG", (-60, -40, -4), 13, 0.38, False,
         {"words": 0.8, "content": 0.6, "letters": 0.3,
          **_meaning("tools", "motion", "animals", word=0.6, context=0.4)}, 0.8),
    Area("IFG", (-50, 22, 14), 13, 0.40, False,
         {"words": 0.8, "content": 0.6, "letters": 0.5, "words_x_flicker": 0.6,
          **_meaning("speech", "thought", word=0.5, context=0.5)}, 0.7),
    Area("ATL", (-52, 6, -24), 13, 0.36, False,
         {"words": 0.5, **_meaning("people", "food", "animals", "tools", word=0.6, context=0.5)}, 0.8),
    Area("AG", (-46, -64, 32), 14, 0.36, False,
         {"theme_0": 0.8, "theme_3": 0.7, **_meaning("places", "people", "thought", word=0.3, context=0.7)}, 0.8),
    Area("TPJ", (-54, -52, 26), 12, 0.34, False,
         {"emotion_x_face": 0.8, "voice_x_face": 0.4, **_meaning("thought", "people", word=0.3, context=0.6)}, 1.3),
    Area("SMG", (-56, -32, 36), 12, 0.30, False,
         {"object": 0.6, "body": 0.5, **_meaning("tools", "body", word=0.6, context=0.3)}),
    Area("hand", (-38, -22, 56), 12, 0.26, False, _meaning("tools", "motion", "body", word=0.8, context=0.4)),
    Area("IPS", (-26, -62, 50), 14, 0.36, False,
         {"camera": 0.7, "object": 0.6, "cut": 0.6, "other_motion": 0.5, "means_numbers": 0.6, "words_x_flicker": 0.3}),
    Area("FEF", (-28, -4, 54), 10, 0.30, False,
         {"camera": 0.8, "cut": 0.7, "other_motion": 0.5, "context_motion": 0.3}),
    Area("dlPFC", (-42, 32, 30), 13, 0.28, False,
         {"words_x_flicker": 0.8, "cut": 0.5, "content": 0.4, **_meaning("numbers", "thought", word=0.3, context=0.5)}),
    Area("insula", (-36, 18, 0), 10, 0.28, False,
         {"emotion_x_face": 0.8, "noise": 0.6, "onset": 0.4, **_meaning("emotion", "body", word=0.5, context=0.4)}),
    Area("precuneus", (-6, -62, 38), 14, 0.36, False,
         {"theme_0": 0.9, "theme_2": 0.7, "place": 0.3, **_meaning("places", "motion", word=0.0, context=0.7)}),
    Area("PCC", (-6, -48, 26), 12, 0.34, False,
         {"theme_0": 0.8, "theme_1": 0.6, "theme_3": 0.8, **_meaning("people", "thought", word=0.0, context=0.5)}),
    Area("mPFC", (-6, 52, 16), 15, 0.32, False,
         {"theme_3": 0.9, "theme_0": 0.5, "emotion_x_face": 0.4,
          **_meaning("emotion", "people", word=0.2, context=0.7)}),
)  # fmt: skip
"""Centres: Brodmann's and group-mean localiser coordinates, rounded (Kanwisher et al. 1997; Epstein & Kanwisher 1998;
Downing et al. 2001; Dumoulin et al. 2000; Belin et al. 2000; Fedorenko et al. 2010; Saxe & Kanwisher 2003;
Andrews-Hanna et al. 2010). Meaning by category and its slow context follow Huth et al. 2016 and Lerner et al. 2011;
``peak_r`` follows the noise ceilings of naturalistic 3 T studies: order of 0.6 in early sensory, 0.3-0.4 in association
cortex."""
