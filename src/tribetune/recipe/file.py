"""A recipe's file: read, overridden and checked, all faults at once."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tribetune.errors import RecipeError
from tribetune.recipe.group import GroupRecipe
from tribetune.recipe.pretraining import PretrainRecipe
from tribetune.recipe.schema import Recipe

AnyRecipe = TypeVar("AnyRecipe", Recipe, PretrainRecipe, GroupRecipe)
_MAX_BYTES = 1_000_000


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : path
        A YAML file.
    overrides : sequence of str
        ``key.of.value=YAML``, each replaces one value.

    Raises
    ------
    RecipeError
        If it cannot be read, or with all its faults at once.
    """
    return _check(Recipe, _load(Path(path), overrides), str(path))


def read_pretrain_recipe(path: str | Path, overrides: Sequence[str] = ()) -> PretrainRecipe:
    """Read and check a recipe for pretraining; as `read_recipe`."""
    return _check(PretrainRecipe, _load(Path(path), overrides), str(path))


def read_group_recipe(path: str | Path, overrides: Sequence[str] = ()) -> GroupRecipe:
    """Read and check a recipe for group prediction; as `read_recipe`."""
    return _check(GroupRecipe, _load(Path(path), overrides), str(path))


def read_any_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe | PretrainRecipe | GroupRecipe:
    """Read a recipe of any kind, told apart by ``pretraining`` or ``cohort``, and by ``data.subjects``."""
    values = _load(Path(path), overrides)
    if _is_for_pretraining(values):
        return _check(PretrainRecipe, values, str(path))
    if _is_for_a_group(values):
        return _check(GroupRecipe, values, str(path))
    return _check(Recipe, values, str(path))


def recipe_schema() -> dict[str, Any]:
    """JSON schema of a recipe, for editors."""
    return Recipe.model_json_schema()


def dump_recipe(recipe: Recipe | PretrainRecipe | GroupRecipe) -> str:
    """The resolved recipe as YAML, every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _load(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    if not path.is_file():
        raise RecipeError(f"no recipe at {path}", hint="`tribetune recipe ls` lists the recipes that ship")
    if path.stat().st_size > _MAX_BYTES:
        raise RecipeError(f"{path} has {path.stat().st_size:,} bytes: not a recipe", hint="a recipe is a page of YAML")
    try:
        values = _plain_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path} is not readable YAML: {error}", hint="compare with `tribetune recipe show`"
        ) from error
    if not isinstance(values, dict):
        raise RecipeError(
            f"{path} holds {type(values).__name__}, not keys and values", hint="see `tribetune recipe ls`"
        )
    for override in overrides:
        _override(values, override)
    return values


def _plain_yaml(text: str) -> Any:
    """Safe YAML without aliases: a recipe needs none, and nested ones grow without bound when checked."""
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            raise yaml.YAMLError(
                f"line {token.start_mark.line + 1}: aliases (*{token.value}) are not allowed in a recipe"
            )
    return yaml.safe_load(text)


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override!r} is not KEY=VALUE", hint="for instance --set adaptation.rank=4")
    *sections, last = key.split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise RecipeError(
                f"--set {override!r}: {section!r} is a value, not a section", hint="see the recipe's keys"
            )
    try:
        # YAML reads 01 as the number 1, but a leading zero means a label.
        place[last] = text if re.fullmatch(r"0\d+", text) else _plain_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override!r}: the value is not YAML", hint="quote it") from error


def _check(kind: type[AnyRecipe], values: dict[str, Any], where: str) -> AnyRecipe:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        faults = [_fault(kind, values, dict(fault)) for fault in error.errors()]
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise RecipeError(f"{where} has {count}", hint=_hint(kind, values), faults=faults) from None


def _hint(kind: type[BaseModel], values: Mapping[str, Any]) -> str:
    if kind is PretrainRecipe:
        return "compare with `tribetune recipe show pretrain-toy`"
    if _is_for_pretraining(values):
        return "this is a recipe for `tribetune pretrain`"
    if kind is GroupRecipe:
        return "compare with `tribetune recipe show group-zero-shot`"
    if _is_for_a_group(values):
        return "this is a recipe for `tribetune group`"
    return "`tribetune recipe schema` lists every key"


def _is_for_pretraining(values: Mapping[str, Any]) -> bool:
    return bool({"pretraining", "cohort"} & set(values))


def _is_for_a_group(values: Mapping[str, Any]) -> bool:
    data = values.get("data")
    return isinstance(data, dict) and "subjects" in data


def _fault(kind: type[BaseModel], values: dict[str, Any], fault: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in _written_path(values, fault["loc"])) or "recipe"
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), sorted(_keys(kind)), n=1)
        return f"{place}: unknown key" + (f", did you mean {near[0]!r}?" if near else "")
    if fault["type"] == "missing":
        return f"{place}: missing"
    if fault["type"].startswith("union_tag"):
        return _choice_fault(place, fault["ctx"])
    got = fault.get("input")
    shown = f", got {got!r}" if isinstance(got, str | int | float | bool) else ""
    return f"{place}: {fault['msg'].removeprefix('Value error, ')}{shown}"


def _choice_fault(place: str, told: Mapping[str, str]) -> str:
    """A section of several kinds, whose kind is not said or not known."""
    key = f"{place}.{told['discriminator'].strip(chr(39))}"
    if "tag" not in told:
        return f"{key}: missing"
    return f"{key}: {told['tag']!r} is not known, expected one of {told['expected_tags'].replace(chr(39), '')}"


def _written_path(values: Any, place: Sequence[str | int]) -> list[str | int]:
    """A fault's path as the recipe has it: pydantic's also names the chosen member of a union."""
    written, here = [], values
    for part in place[:-1]:
        if isinstance(here, dict) and part not in here:
            continue
        written.append(part)
        here = here[part] if isinstance(here, dict | list) else None
    return [*written, *place[-1:]]


def _keys(kind: type[BaseModel]) -> set[str]:
    return set(_walk(kind.model_json_schema()))


def _walk(schema: Mapping[str, Any]) -> Iterator[str]:
    yield from schema.get("properties", {})
    for part in schema.get("$defs", {}).values():
        yield from part.get("properties", {})
