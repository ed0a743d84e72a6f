"""A whole study small enough for a gate: a table of eight regions, words only, and a model that knows the group."""

import numpy as np
import pytest
import torch
import yaml

from tribetune.model.checkpoint import save_checkpoint
from tribetune.model.tribe import Tribe, TribeConfig

N_REGIONS, T_R, N_TRS = 8, 2.0, 110
WORDS = ("the", "red", "dog", "ran", "to", "a", "small", "house", "and", "sang", "of", "rain", "while", "two", "men")


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory):
    """Four runs of words, BOLD that follows them through a readout of the subject's own, a checkpoint, a recipe."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    config = TribeConfig(
        modalities={"text": (2, 64)}, hidden=64, depth=1, heads=2, low_rank=6, n_outputs=N_REGIONS, rows=1,
        space="table", subject_dropout=0.1, encoders={"text": {"encoders": "tiny"}},
    )  # fmt: skip
    tribe = Tribe(config).eval()
    save_checkpoint(tribe, folder / "checkpoint")
    own = torch.randn(6, N_REGIONS)
    for run in range(1, 5):
        _write_words(folder / f"words-{run}.tsv", rng)
        _write_bold(folder, run, tribe, own, rng)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe(folder)))
    return folder


def recipe(folder):
    return {
        "name": "small",
        "checkpoint": str(folder / "checkpoint"),
        "data": {
            "tables": {
                "path": str(folder / "sub-{subject}_run-{run}.npz"),
                "t_r": T_R,
                "words": str(folder / "words-{run}.tsv"),
            },
            "subject": "01",
            "space": "table",
            "split": {"by": "run", "test": [4]},
        },
        "features": {"modalities": ["text"], "store": str(folder / "features")},
        "adaptation": {"method": "readout"},
        "evaluation": {"bootstrap_draws": 100},
    }


def _write_words(path, rng):
    onsets = np.cumsum(rng.uniform(0.3, 1.2, 260))
    onsets = onsets[onsets < 205]
    rows = [f"{onset:.3f}\t0.2\t{rng.choice(WORDS)}" for onset in onsets]
    path.write_text("onset\tduration\tword\n" + "\n".join(rows) + "\n")


def _write_bold(folder, run, tribe, own, rng):
    """BOLD at stimulus time t + 5 s is the model's latent at t through the group's and the subject's own readout."""
    from tribetune.evaluate.predict import predict_run
    from tribetune.features.encoders import encoders
    from tribetune.features.extract import extract
    from tribetune.stimulus.timeline import timeline_of_files
    from tribetune.windows import without_bold

    timeline = timeline_of_files([], folder / f"words-{run}.tsv")
    aligned = without_bold(extract(timeline, encoders("tiny"), ["text"], folder / "features"))
    model = Tribe(tribe.config).eval()
    model.load_state_dict(tribe.state_dict())
    with torch.no_grad():
        model.subjects.weights[0] += own
    signal = predict_run(model, aligned, 0)
    clock = timeline.start_s + 5.0 + np.arange(len(signal))
    volumes = np.arange(N_TRS) * T_R
    bold = np.stack([np.interp(volumes, clock, column) for column in signal.T], axis=1)
    noise = rng.standard_normal(bold.shape) * bold.std(0)
    np.savez(folder / f"sub-01_run-{run}.npz", bold=(bold + noise).astype(np.float32))
