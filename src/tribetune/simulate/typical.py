"""Typical sizes of the stimulus properties and of what areas make of them, measured once on five films and then fixed.

A fixed scale keeps a property's effect the same in every run and cohort; ``tests/simulate/test_typical.py`` measures it
again.
"""

TYPICAL: dict[str, tuple[float, float]] = {
    "luminance_left": (0.437, 0.0748), "luminance_right": (0.434, 0.0755), "contrast_left": (0.135, 0.0299),
    "contrast_right": (0.132, 0.0284), "motion_left": (0.354, 0.0968), "motion_right": (0.356, 0.0985),
    "fine": (0.0306, 0.0128), "flicker": (0.00165, 0.000668), "camera": (0.339, 0.139), "cut": (0.0212, 0.00799),
    "colour": (0.527, 0.123), "place": (0.372, 0.271), "face": (0.295, 0.196), "body": (0.0714, 0.0911),
    "object": (0.0794, 0.103), "envelope": (0.537, 0.116), "onset": (0.0643, 0.0249), "band_low": (1.46, 0.598),
    "band_mid": (1.69, 0.431), "band_high": (1.05, 0.311), "pitch": (0.707, 0.336), "voice": (0.359, 0.104),
    "music": (0.22, 0.186), "noise": (0.344, 0.242), "words": (0.153, 0.0431), "letters": (0.124, 0.0352),
    "content": (0.0548, 0.0174), "means_people": (0.046, 0.04), "means_places": (0.0202, 0.0282),
    "means_tools": (0.0189, 0.0299), "means_food": (0.0185, 0.0252), "means_animals": (0.0158, 0.0253),
    "means_body": (0.0106, 0.0221), "means_emotion": (0.0246, 0.0369), "means_motion": (0.0178, 0.0273),
    "means_numbers": (0.0138, 0.0204), "means_nature": (0.0172, 0.0264), "means_speech": (0.0299, 0.0353),
    "means_thought": (0.0203, 0.0335), "context_people": (0.045, 0.0173), "context_places": (0.0194, 0.00996),
    "context_tools": (0.0183, 0.0149), "context_food": (0.0183, 0.00993), "context_animals": (0.0152, 0.0105),
    "context_body": (0.0102, 0.00862), "context_emotion": (0.0241, 0.0133), "context_motion": (0.0172, 0.011),
    "context_numbers": (0.0131, 0.0071), "context_nature": (0.0162, 0.0116), "context_speech": (0.0292, 0.0136),
    "context_thought": (0.0198, 0.014), "theme_0": (0.00871, 0.0186), "theme_1": (0.0313, 0.0159),
    "theme_2": (0.001, 0.016), "theme_3": (0.0617, 0.0313), "voice_x_face": (0.112, 0.0851),
    "words_x_flicker": (0.000269, 0.000131), "music_x_motion": (0.156, 0.146), "emotion_x_face": (0.00843, 0.00897),
}  # fmt: skip
"""Mean of each property over a film, and its SD after the canonical hemodynamic response (films of 8 min, seed
``SPECIES``)."""

AREA_SD: dict[str, float] = {
    "V1": 1.27, "V2d": 1.16, "V2v": 1.18, "V4": 1.11, "MT": 1.23, "LO": 0.866, "EBA": 0.929, "FFA": 1.2, "PPA": 0.945,
    "OPA": 1.04, "RSC": 1.05, "A1": 1.62, "PT": 1.34, "aSTG": 1.21, "mSTS": 1.62, "pSTS": 1.41, "MTG": 1.32,
    "IFG": 1.53, "ATL": 1.14, "AG": 1.42, "TPJ": 1.27, "SMG": 1.0, "hand": 1.05, "IPS": 1.12, "FEF": 1.16,
    "dlPFC": 1.19, "insula": 1.13, "precuneus": 1.07, "PCC": 1.49, "mPFC": 1.69,
}  # fmt: skip
"""SD over time of an area's common mixture of properties; above 1 where they go together."""
