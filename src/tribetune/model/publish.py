"""A checkpoint of ours sent to the hub, with a card that says what it is made of."""

import tempfile
from pathlib import Path

from tribetune.errors import CheckpointError
from tribetune.files import write_text
from tribetune.model import official
from tribetune.model.checkpoint import CONFIG, WEIGHTS, save_checkpoint
from tribetune.model.config import TribeConfig
from tribetune.model.hub import Cargo, hub_id, send
from tribetune.model.tribe import Tribe

CARD = "README.md"


def publish(tribe: Tribe, repo_id: str, *, private: bool = True, consent: str = "", half: bool = False) -> str:
    """Send a checkpoint to the hub; see `Tribe.push_to_hub`.

    Parameters
    ----------
    tribe : Tribe
    repo_id : str
        ``owner/name``; made where there is none.
    private : bool
        Whether others may not see it.
    consent : str
        What the subjects agreed to whose own readouts are among the rows.
    half : bool
        Send float16.

    Returns
    -------
    str
        The commit.

    Raises
    ------
    CheckpointError
        If there is no licence, rows of subjects go without consent, or the hub refuses.
    """
    where = hub_id(repo_id)
    if where is None or where.revision:
        raise CheckpointError(f"{repo_id!r} is no id on the hub", hint="give ORGANISATION/NAME")
    config = tribe.config
    own_rows = config.rows - config.unseen_row
    if own_rows and not consent:
        raise CheckpointError(
            f"the readouts of {own_rows} subjects would go along, and they are brain data",
            hint="pass consent=, in words that go on the card; or keep only the unseen row",
        )
    if config.licence == "other":
        raise CheckpointError("the checkpoint has no licence", hint="set it in the model's config: licence='…'")
    with tempfile.TemporaryDirectory(prefix="tribetune-") as scratch:
        folder = Path(scratch)
        save_checkpoint(tribe, folder, half=half)
        write_text(folder / CARD, checkpoint_card(config, consent))
        files = {name: folder / name for name in (WEIGHTS, CONFIG, CARD)}
        cargo = Cargo(
            private, "A checkpoint of tribetune", never_beside=("adapter_model.safetensors", official.WEIGHTS)
        )
        return send(where, files, CheckpointError, cargo)


def checkpoint_card(config: TribeConfig, consent: str = "") -> str:
    """A README in the hub's conventions."""
    from huggingface_hub import ModelCardData

    head = ModelCardData(
        library_name="tribetune",
        license=config.licence,
        pipeline_tag="other",
        tags=["fMRI", "brain-encoding", "tribe", "tribetune", "checkpoint"],
    )
    told = f"Consent: {consent}\n\n" if consent else ""
    return (
        f"---\n{head.to_yaml().strip()}\n---\n\n# A brain encoder\n\n"
        f"{', '.join(config.modalities)} in, BOLD of {config.n_outputs:,} outputs ({config.space}) out;"
        f" {config.rows} readout rows{', the last one of the unseen subject' if config.unseen_row else ''}. Targets"
        f" were cleaned by `{config.cleaning}` and lag by {config.lag_s:g} s.\n\n"
        '```python\nfrom tribetune import Tribe\nmodel = Tribe.from_pretrained("ORGANISATION/NAME")\n```\n\n'
        f"{told}It predicts responses of a group to stimuli like those it was trained on. Do not use it to identify"
        " a person, to infer what someone thinks or feels, for diagnosis, or for any decision about a person.\n"
    )
