"""The subjects of a recipe's data: all that are there, or those that are named."""

from pathlib import Path

from tribetune.bold.bids_folders import bids_roots
from tribetune.bold.layout import list_laid_out_subjects
from tribetune.bold.tables import list_table_subjects
from tribetune.errors import BoldError
from tribetune.recipe.data import Data
from tribetune.study.layout import bold_layout, table_spec

ALL = "all"


def chosen_subjects(data: Data, names: str) -> list[str]:
    """Labels of the subjects that ``all`` or a list such as ``01,02`` stands for, in order and each once.

    Raises
    ------
    BoldError
        If one of them is not there, or the recipe names the files of one subject.
    """
    if data.files is not None:
        raise BoldError(
            "data.files are of one subject", hint="set data.bids, data.layout or data.tables for several subjects"
        )
    there = list_subjects(data)
    if names.strip() == ALL:
        return there
    wanted = list(dict.fromkeys(name.strip().removeprefix("sub-") for name in names.split(",") if name.strip()))
    missing = [name for name in wanted if name not in there]
    if missing or not wanted:
        raise BoldError(
            f"no subject {', '.join(missing) or repr(names)}; there are {', '.join(there)}",
            hint="--subjects all, or 01,02",
        )
    return wanted


def list_subjects(data: Data) -> list[str]:
    """Labels of every subject of a BIDS dataset, a layout or tables.

    Raises
    ------
    BoldError
        If there is none.
    """
    if data.tables is not None:
        return list_table_subjects(table_spec(data))
    if data.layout is not None:
        found = list_laid_out_subjects(bold_layout(data))
        if not found:
            raise BoldError(f"no subject matches {data.layout.bold}", hint="mend data.layout")
        return found
    folders = [path for root in bids_roots(Path(str(data.bids))) for path in root.glob("sub-*") if path.is_dir()]
    found = sorted({folder.name.removeprefix("sub-") for folder in folders if any(folder.rglob("func"))})
    if not found:
        raise BoldError(f"no subject in {data.bids}", hint="expected sub-…/func, there or in derivatives")
    return found
