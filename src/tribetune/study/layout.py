"""What a recipe says of its runs' files, in the words of the readers: patterns, names of runs, onsets."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tribetune.bold.layout import BESIDE, LISTED, LaidOut, Layout, Values, find_laid_out
from tribetune.bold.patterns import filled, matching, nearest, placeholders
from tribetune.bold.run import entities_said, is_named, run_label
from tribetune.bold.tables import TableSpec, list_table_runs
from tribetune.errors import BoldError, StimulusError
from tribetune.recipe.data import Source

_KEYS = {"ses": "session", "task": "task", "run": "run"}
_ONSET = "onset_s"


def table_spec(data: Source) -> TableSpec:
    """Where a recipe's tables are.

    Raises
    ------
    BoldError
        If it has none.
    """
    tables = data.tables
    if tables is None:
        raise BoldError("no tables in the recipe", hint="set data.tables.path")
    path = str(tables.folder / tables.path)
    return TableSpec(path, **tables.model_dump(exclude={"folder", "path", "media", "words", "repeats"}))


def table_values(data: Source, subject: str, name: str) -> Values:
    """What placeholders stand for in the run of a table, by the name that `list_table_runs` gives it."""
    named = {_KEYS[key]: value for key, value in entities_said(name).items() if key in _KEYS} or {"run": name}
    label = run_label(subject, *(named.get(field, "") for field in _KEYS.values()))
    more = next((given for asked, given in _given(data).items() if is_named(label, asked)), {})
    return {**named, "subject": subject, **_texts(more)}


def find_table_runs(data: Source, subject: str) -> tuple[list[str], dict[str, str]]:
    """Names of a subject's runs in tables: those of ``data.runs``, or all.

    Returns
    -------
    names : list of str
    lacking : dict of str to str
        For each run of ``data.runs`` that is not there, where it was looked for.

    Raises
    ------
    BoldError
        If the folder is not there.
    """
    if data.tables is not None and not data.tables.folder.is_dir():
        raise BoldError(f"no folder {data.tables.folder}", hint="set data.tables.folder to where the dataset is")
    spec, given = table_spec(data), _given(data)
    there = list_table_runs(spec, subject) if matching(filled(spec.path, {"subject": subject})) or not given else []
    labels = {name: run_label(**_entities(table_values(data, subject, name))) for name in there}
    lacking = [asked for asked in given if not any(is_named(label, asked) for label in labels.values())]
    told = {asked: _no_table(spec, {"subject": subject, **_named(asked, spec.path)}) for asked in lacking}
    return [name for name in there if not given or any(is_named(labels[name], asked) for asked in given)], told


def others_in_tables(data: Source, subject: str) -> str:
    """What to say of a subject without any table: whose are there."""
    labels = {named["subject"] for _, named in matching(table_spec(data).path) if "subject" in named}
    return f"; there are tables of {', '.join(sorted(labels)[:LISTED])}" if labels and subject not in labels else ""


def stimulus_file(folder: Path, pattern: str, values: Values, what: str) -> Path | None:
    """The one file that a pattern names for a run; None without a pattern.

    Raises
    ------
    StimulusError
        If there is none, or several.
    """
    if not pattern:
        return None
    path = filled(str(folder / pattern), values)
    found = [file for file, _ in matching(path)]
    if len(found) != 1 or placeholders(path):
        fault = f"several match: {', '.join(file.name for file in found)}" if found else f"is not there{nearest(path)}"
        raise StimulusError(f"the {what} {path} {fault}", hint="fetch it, or mend data.tables")
    return found[0]


def laid_out(data: Source, subject: str) -> list[Callable[[], LaidOut]]:
    """The runs of a subject in a recipe's layout, each to be called for its files.

    Raises
    ------
    BoldError
        See `find_laid_out`.
    """
    layout = bold_layout(data)
    if data.layout is not None and not data.layout.folder.is_dir():
        raise BoldError(f"no folder {data.layout.folder}", hint="set data.layout.folder to where the dataset is")
    wanted = [{**_named(name, layout.bold[0]), **_texts(more)} for name, more in _given(data).items()]
    return find_laid_out(layout, subject, wanted)


def bold_layout(data: Source) -> Layout:
    """The patterns of a recipe's layout.

    Raises
    ------
    BoldError
        If it has none.
    """
    given = data.layout
    if given is None:
        raise BoldError("no layout in the recipe", hint="set data.layout")
    bold = [given.bold] if isinstance(given.bold, str) else given.bold
    others = {name: str(given.folder / pattern) for name in BESIDE if (pattern := getattr(given, name))}
    return Layout(tuple(str(given.folder / one) for one in bold), **others, t_r=given.t_r, in_order=given.in_order or 0)


def onset_s(data: Source, label: str) -> float:
    """When the stimulus of a run begins, in seconds after its first volume."""
    given = [more[_ONSET] for name, more in _given(data).items() if is_named(label, name) and _ONSET in more]
    return float(given[0]) if given else data.layout.onset_s if data.layout else 0.0


def _given(data: Source) -> dict[str, Mapping[str, str | int | float]]:
    """Names of the wanted runs, each with what the recipe says of it."""
    return dict(data.runs) if isinstance(data.runs, dict) else {str(name): {} for name in data.runs}


def _named(name: str, pattern: str) -> dict[str, str]:
    """What placeholders stand for by the name of a run alone."""
    said = {_KEYS[key]: value for key, value in entities_said(name).items() if key in _KEYS}
    return said or {"task" if "{task}" in pattern and "{run}" not in pattern else "run": name}


def _texts(more: Mapping[str, str | int | float]) -> dict[str, str]:
    return {key: str(value) for key, value in more.items() if key != _ONSET}


def _entities(values: Values) -> dict[str, str]:
    return {field: values.get(field, "") for field in ("subject", "session", "task", "run")}


def _no_table(spec: TableSpec, values: Values) -> str:
    """Where a run of a table was looked for."""
    path = filled(spec.path, values)
    found = matching(path)
    if not found:
        return f"no table at {path}{nearest(path)}"
    key = filled(spec.bold, values) or "_".join(f"{k}-{values[f]}" for k, f in _KEYS.items() if f in values)
    return f"no array {key} in {', '.join(str(file) for file, _ in found)}"
