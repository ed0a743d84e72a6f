"""`tribetune bold ls`: what a recipe's runs are, what is missing or wrong, and how good their BOLD is."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tribetune.bold.confounds import framewise_displacement
from tribetune.bold.find import list_runs
from tribetune.bold.patterns import filled
from tribetune.bold.quality import Finding, Quality, compare_sessions, quality_of
from tribetune.bold.run import Run, run_label
from tribetune.bold.run_files import RunFiles, sidecar_t_r
from tribetune.bold.survey import Survey, survey
from tribetune.bold.tables import read_table
from tribetune.errors import TribetuneError, together
from tribetune.progress import Progress, Silent
from tribetune.recipe.data import Data
from tribetune.recipe.file import read_recipe
from tribetune.stimulus.events import check_on_run
from tribetune.study.bold import Reader, files_of, list_files, stimuli_of
from tribetune.study.layout import find_table_runs, laid_out, table_spec, table_values
from tribetune.study.prepare import bold_cache


@dataclass(frozen=True)
class Wanted:
    """What to look at beside names and headers.

    Attributes
    ----------
    quality : bool
        Read every run, as measured, and judge it.
    pictures : Path or None
        Read every run, and draw it into this folder.
    """

    quality: bool = False
    pictures: Path | None = None


def look(
    recipe_path: str, overrides: Sequence[str] = (), wanted: Wanted | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Look at every run of a recipe; a broken run is told of, and refuses nothing.

    Parameters
    ----------
    recipe_path : str
        A YAML file.
    overrides : sequence of str
        ``key=value``, see `read_recipe`.
    wanted : Wanted, optional
        Names and headers alone when left out.
    progress : Progress, optional

    Returns
    -------
    dict
        ``runs``: one row per set of files, with ``read`` where the recipe reads it; ``sessions``: findings on drift
        between sessions; ``faults``: why the recipe's runs as a whole would be refused. Plain values.

    Raises
    ------
    TribetuneError
        If the recipe is at fault, or there is no such subject.
    """
    recipe, wanted, progress = read_recipe(recipe_path, overrides), wanted or Wanted(), progress or Silent()
    data, faults = recipe.data, []
    rows = _rows(data, faults)
    qualities = []
    if wanted.quality or wanted.pictures:
        reader = Reader(data, bold_cache(recipe))
        chosen = [row for row in rows if row["read"]] or rows
        for number, row in enumerate(chosen):
            progress.advance(row["run"], number / len(chosen))
            qualities += _looked_at(reader, row, wanted)
    for row in rows:
        row.pop("of")
    drift = compare_sessions(qualities) if len({quality.session for quality in qualities}) > 1 else ()
    return {"runs": rows, "sessions": [asdict(finding) for finding in drift], "faults": faults}


def _rows(data: Data, faults: list[str]) -> list[dict[str, Any]]:
    if data.tables is not None:
        return _table_rows(data)
    return _layout_rows(data) if data.layout is not None else list(_file_rows(data, faults))


def _layout_rows(data: Data) -> list[dict[str, Any]]:
    rows = []
    for one in together(laid_out(data, data.subject)):
        folder = stimuli_of(data, one.files)
        row = _row(survey([one.files], folder)[0], folder, read=True)
        shown = [path.name for path in (one.media, one.words) if path]
        rows.append(row if one.files.events else row | {"stimuli": shown, "missing": []})
    return rows


def _file_rows(data: Data, faults: list[str]) -> Iterator[dict[str, Any]]:
    if data.files is not None:
        for run in data.files:
            try:
                files = files_of(data, run)
            except TribetuneError as error:
                yield _empty(run_label(data.subject, data.session, data.task, run.run), str(error))
            else:
                folder = stimuli_of(data, files)
                yield _row(survey([files], folder)[0], folder, read=True)
        return
    bids = Path(str(data.bids))
    listed = [
        f for f in list_runs(bids, data.subject, data.task) if data.session.removeprefix("ses-") in ("", f.session)
    ]
    try:
        used = {files.bold for files in list_files(data)}
    except TribetuneError as error:
        if not listed:
            raise  # there is nothing to list beside it
        faults.append(str(error))
        used = set()
    folder = stimuli_of(data)
    for found in survey(listed, folder):
        yield _row(found, folder, read=found.files.bold in used)


def _table_rows(data: Data) -> list[dict[str, Any]]:
    assert data.tables is not None  # the caller makes sure
    spec, rows = table_spec(data), []
    names, lacking = find_table_runs(data, data.subject)
    rows += [_empty(run_label(data.subject, "", "", asked), told) for asked, told in lacking.items()]
    for name in names:
        try:
            run = read_table(spec, data.subject, name)
        except TribetuneError as error:
            rows.append(_empty(run_label(data.subject, "", "", name), str(error)))
            continue
        row = _empty(run.label) | {"read": True, "kind": "table", "t_r": run.t_r, "volumes": len(run.values)}
        row |= {"minutes": len(run.values) * run.t_r / 60, "of": run}
        values = table_values(data, data.subject, name)
        named = [filled(text, values) for text in (data.tables.media, data.tables.words) if text]
        own = [Path(data.tables.path).name] if data.tables.path.endswith(".npz") and not named else []
        rows.append(row | {"stimuli": [Path(text).name for text in named] or own, "space": run.space})
    return rows


def _empty(label: str, *faults: str) -> dict[str, Any]:
    row: dict[str, Any] = {"run": label, "space": "", "kind": "", "t_r": None, "volumes": None, "minutes": None}
    return row | {"stimuli": [], "missing": [], "faults": list(faults), "notes": [], "read": False, "of": None}


def _row(found: Survey, folder: Path, *, read: bool) -> dict[str, Any]:
    files = found.files
    return _empty(files.label, *found.faults, *(_off_the_run(found, folder) if read else ())) | {
        "space": files.space,
        "kind": files.kind,
        "t_r": found.t_r,
        "volumes": found.n_trs,
        "minutes": found.minutes,
        "stimuli": list(found.stimuli),
        "missing": list(found.missing),
        "notes": list(found.notes),
        "read": read,
        "of": files,
    }


def _off_the_run(found: Survey, folder: Path) -> Iterator[str]:
    """Why the events cannot be this run's, where all that they name is there."""
    events, minutes = found.files.events, found.minutes
    named = {*found.stimuli, "events.tsv", "stim_file in events.tsv"}
    if events is None or minutes is None or named & {*found.missing}:
        return
    try:
        check_on_run(events, folder, 60 * minutes)
    except TribetuneError as error:
        yield str(error)


def _looked_at(reader: Reader, row: dict[str, Any], wanted: Wanted) -> list[Quality]:
    """Read, judge and draw one run; its row takes what was found, or why it could not be."""
    source = row["of"]
    if source is None:
        return []
    try:
        run, confounds = _measured(reader, source)
        if wanted.pictures is not None:
            row["picture"] = str(_drawn(run, confounds, wanted.pictures))
        if not wanted.quality:
            return []
        quality = quality_of(run, confounds)
    except TribetuneError as error:
        if str(error) not in row["faults"]:
            row["faults"].append(str(error))
        return []
    row["verdict"], row["quality"] = quality.verdict, [asdict(finding) for finding in quality.findings]
    return [quality]


def _measured(reader: Reader, source: Run | RunFiles) -> tuple[Run, Path | None]:
    if isinstance(source, Run):
        return source, None
    files = source if source.t_r is not None else replace(source, t_r=sidecar_t_r(source))
    return reader.read(files), files.confounds


def _drawn(run: Run, confounds: Path | None, folder: Path) -> Path:
    from tribetune.report.carpet import carpet

    path = folder / f"{run.label}_carpet.png"
    moved = None if confounds is None else framewise_displacement(confounds, len(run.values))
    carpet(run, path, displacement_mm=moved)
    return path


def finding_line(finding: dict[str, Any]) -> str:
    """One line: verdict, name, words."""
    return str(Finding(**finding))
