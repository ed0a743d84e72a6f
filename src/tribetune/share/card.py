"""The card of an adapter: what it is, how to use it, what it must not be used for."""

from collections.abc import Mapping
from typing import Any

import yaml


def adapter_card(facts: Mapping[str, Any]) -> str:
    """A README in the hub's conventions, from an adapter's facts.

    Parameters
    ----------
    facts : mapping
        What ``tribetune.json`` says.
    """
    base = facts.get("base", {})
    head = {
        "library_name": "tribetune",
        "base_model": base.get("name"),
        "base_model_relation": "adapter",
        "license": base.get("licence", "other"),
        "pipeline_tag": "other",
        "tags": ["fMRI", "brain-encoding", "tribe", facts["method"]],
    }
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n"
        f"# Adapter of {base.get('name')} for one subject\n\n"
        f"Method `{facts['method']}`, {facts.get('trained_weights', 0):,} trained weights,"
        f" {facts.get('calibration_minutes', 0):.1f} minutes of BOLD in {facts.get('space')},"
        f" lag {facts.get('lag_s')} s, cleaning `{facts.get('cleaning')}`.\n\n"
        f"## Held-out scores\n\n{_scores(facts)}\n\n"
        "## Use\n\n"
        f"```\ntribetune predict {base.get('name')} --adapter FOLDER film.mp4 --out predictions\n```\n\n"
        "## Limits\n\n"
        "Derived from one person's brain data, which it may help to identify: share it only within that person's"
        " consent. It predicts responses to stimuli like those it was calibrated on; it is no diagnostic instrument"
        " and says nothing about a person's thoughts.\n"
    )


def _scores(facts: Mapping[str, Any]) -> str:
    scores = facts.get("scores")
    if scores is None:
        return "Not scored."
    low, high = scores["interval"]
    return (
        f"Mean Pearson r {scores['mean_r']:.3f} over {scores['n_outputs']:,} outputs (95 % interval {low:.3f} to"
        f" {high:.3f}; 95 % of predictions at the wrong time stay below {scores['null_95']:.3f}).\n\n"
        f"{facts.get('verdict', '')}"
    )
