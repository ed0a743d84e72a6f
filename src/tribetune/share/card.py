"""The card of an adapter: what it is, how to use it, what it must not be used for."""

from collections.abc import Mapping
from typing import Any

from tribetune.digits import rounded
from tribetune.share.facts import CONSENT, people

_METRICS = (("mean_r", "mean Pearson r over outputs"), ("delta_zero_shot", "over zero-shot"), ("delta_fir", "over FIR"))


def adapter_card(facts: Mapping[str, Any], called: str = "FOLDER") -> str:
    """A README in the hub's conventions, from an adapter's facts.

    Parameters
    ----------
    facts : mapping
        What ``tribetune.json`` says.
    called : str
        Where it is found: a folder, or an id on the hub.
    """
    base, n_people = facts.get("base") or {}, len(people(facts))
    parts = [
        f"---\n{_head(facts, base)}\n---",
        f"# Adapter of {base.get('name')} for {'one subject' if n_people < 2 else f'the mean of {n_people} subjects'}",
        _what_it_is(facts),
        f"## Held-out scores\n\n{_leakage(facts)}{_scores(facts)}",
        f"## Use\n\n{_use(base, called)}",
        f"## Where it comes from\n\n{_origin(facts, base)}",
        f"## Consent and limits\n\n{_limits(facts)}",
    ]
    return "\n\n".join(parts) + "\n"


def _head(facts: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    from huggingface_hub import ModelCardData

    licence = (facts.get("sharing") or {}).get("licence") or base.get("licence", "other")
    results = _results(facts)
    data = ModelCardData(
        base_model=base.get("id") or base.get("name"),
        library_name="tribetune",
        license=licence,
        pipeline_tag="other",
        tags=["fMRI", "brain-encoding", "tribe", "tribetune", "adapter", facts["method"]],
        model_name=f"{facts['method']} of {base.get('name')}" if results else None,
        eval_results=results or None,
        base_model_relation="adapter",
    )
    return data.to_yaml().strip()


def _results(facts: Mapping[str, Any]) -> list[Any]:
    """For ``model-index``; what is undefined is left out."""
    from huggingface_hub import EvalResult

    scores = facts.get("scores") or {}
    found = []
    for key, name in _METRICS:
        value = scores.get(key)
        mean = value.get("mean") if isinstance(value, Mapping) else value
        if mean is None or mean != mean:
            continue
        found.append(
            EvalResult(
                task_type="other",
                task_name="brain encoding",
                dataset_type="private",
                dataset_name="held-out runs of the same subject",
                metric_type="pearsonr",
                metric_name=name,
                metric_value=round(float(mean), 4),
            )
        )
    return found


def _what_it_is(facts: Mapping[str, Any]) -> str:
    return (
        f"Method `{facts['method']}`, {facts.get('trained_weights', 0):,} trained weights,"
        f" {_minutes(facts.get('calibration_minutes'))} of BOLD in {facts.get('space')},"
        f" lag {facts.get('lag_s')} s, cleaning `{facts.get('cleaning')}`."
    )


def _leakage(facts: Mapping[str, Any]) -> str:
    """What of the test reached the training, where someone allowed it; nothing where nothing did."""
    leakage = facts.get("leakage") or {}
    if not leakage.get("found"):
        return ""
    found = "\n".join(f"- {told}" for told in leakage["found"])
    return f"**These scores are not held out.** Leakage was allowed because: {leakage.get('allowed')}\n\n{found}\n\n"


def _scores(facts: Mapping[str, Any]) -> str:
    scores = facts.get("scores")
    if scores is None:
        return "Not scored."
    low, high = scores["interval"]
    text = (
        f"Mean Pearson r {_r(scores['mean_r'])} over {scores['n_outputs']:,} outputs (95 % interval {_r(low)} to"
        f" {_r(high)}; 95 % of predictions at the wrong time stay below {_r(scores.get('null_95'))})."
    )
    picture = "![Held-out scores on the cortex](scores.png)\n\n" if "scores.png" in facts.get("files", {}) else ""
    return f"{picture}{text}\n\n{facts.get('verdict') or ''}".strip()


def _use(base: Mapping[str, Any], called: str) -> str:
    checkpoint = base.get("id") or base.get("name")
    return (
        f"```\ntribetune predict {checkpoint} --adapter {called} film.mp4 --out predictions\n```\n\n"
        "```python\n"
        "from tribetune import Tribe, load_adapter\n\n"
        f'model = load_adapter("{called}").apply(Tribe.from_pretrained("{checkpoint}"))\n'
        "bold = model(features, subjects=torch.zeros(1, dtype=int))  # row 0 is the subject's; at 1 Hz\n"
        "```"
    )


def _origin(facts: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    split, ceiling, leakage = (facts.get(key) or {} for key in ("split", "ceiling", "leakage"))
    rows = {
        "base checkpoint": " @ ".join(filter(None, [base.get("id") or base.get("name"), base.get("revision")])),
        "its SHA-256": base.get("hash"),
        "trained on": ", ".join(facts.get("runs") or []),
        "repetition time": f"{facts['t_r']:g} s" if facts.get("t_r") else None,
        "modalities": ", ".join(facts.get("modalities") or []),
        "encoders": facts.get("encoders"),
        "tested on": ", ".join(split.get("test") or []),
        "noise ceiling": _ceiling(ceiling),
        "checked for leakage": "; ".join(leakage.get("checked") or []),
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items() if value)


def _ceiling(ceiling: Mapping[str, Any]) -> str:
    if not ceiling:
        return "none: not estimable from these data"
    if ceiling.get("mean_r") is None:
        return ceiling["kind"]
    return f"{ceiling['kind']}, mean {_r(ceiling['mean_r'])} over {ceiling['n_outputs']:,} outputs reliably above zero"


def _minutes(minutes: float | None) -> str:
    return "unknown minutes" if minutes is None else f"{minutes:.1f} minutes"


def _limits(facts: Mapping[str, Any]) -> str:
    sharing = facts.get("sharing") or {}
    consent = CONSENT.get(sharing.get("consent", "project"))
    contact = f" Contact: {sharing['contact']}." if sharing.get("contact") else ""
    told = f"Consent: {consent}.{contact}\n\n" if sharing else ""
    n_people, whose, within = len(people(facts)), "one person's brain data", "that person's consent"
    if n_people > 1:
        whose, within = f"the brain data of {n_people} people", "the consent of every one of them"
    return (
        f"{told}Derived from {whose}, which it may help to identify: share it only within {within}. It predicts"
        " responses to stimuli like those it was calibrated on. Do not use it to identify a person, to infer what"
        " someone thinks or feels, for diagnosis, or for any decision about a person."
    )


def _r(value: float | None) -> str:
    return "undefined" if value is None or value != value else rounded(value)
