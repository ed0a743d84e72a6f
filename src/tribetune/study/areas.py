"""Which outputs of a study lie where: parcels for its table, auditory and visual cortex, ventricles."""

import numpy as np

from tribetune.bold.sensory import Sensory, sensory_outputs, sensory_vertices
from tribetune.evaluate.parcels import Parcels, parcels_of_labels
from tribetune.spaces import FSAVERAGE5, N_HEMISPHERE
from tribetune.study.bold import Reader
from tribetune.study.prepare import Prepared, bold_cache

AUDITORY, VISUAL, VENTRICLES = "auditory cortex", "visual cortex", "ventricles"


def sensory(study: Prepared) -> Sensory | None:
    """Auditory and visual outputs: by the vertices of fsaverage5, or by the names of parcels."""
    data, n_outputs = study.recipe.data, study.split.training[0].aligned.bold.shape[1]
    beyond = n_outputs - FSAVERAGE5.n_outputs
    if FSAVERAGE5.name in data.space.split("+") and beyond >= 0:
        found = sensory_vertices()
        return Sensory(np.pad(found.auditory, (0, beyond)), np.pad(found.visual, (0, beyond)), found.source)
    if data.parcellation is None or data.parcellation.of_volumes:
        return None
    names = Reader(data, bold_cache(study.recipe)).parcellation.names
    return sensory_outputs(names) if len(names) == n_outputs else None


def areas(study: Prepared) -> Parcels:
    """Parcels of a study's outputs: hemispheres or structures, named outputs each, and the controls among them.

    The names of tables and parcellations are their outputs'; where a parcel holds one output, its score is that one's.
    """
    n_outputs = int(study.split.test[0].aligned.bold.shape[1])
    sets: dict[str, np.ndarray] = {}
    if senses := sensory(study):
        sets |= {AUDITORY: senses.auditory, VISUAL: senses.visual}
    if not study.in_means.all():
        sets[VENTRICLES] = ~study.in_means
    sets |= _hemispheres(study, n_outputs)
    named = parcels_of_labels(_names(study, n_outputs))
    sets |= dict(zip(named.names, named.sets, strict=True))
    return Parcels(tuple(sets), np.array(list(sets.values()), bool).reshape(len(sets), n_outputs))


def _hemispheres(study: Prepared, n_outputs: int) -> dict[str, np.ndarray]:
    if FSAVERAGE5.name not in study.recipe.data.space.split("+"):
        return {}
    place = np.arange(n_outputs)
    left, cortex = place < N_HEMISPHERE, place < FSAVERAGE5.n_outputs
    return {"left hemisphere": left, "right hemisphere": cortex & ~left}


def _names(study: Prepared, n_outputs: int) -> tuple[str, ...]:
    """Label of every output, empty where it has none."""
    reader = Reader(study.recipe.data, bold_cache(study.recipe))
    names = reader.labels() or study.runs[study.split.test[0].aligned.label].cleaned().outputs
    return tuple(names) if len(names) == n_outputs else ("",) * n_outputs
