"""The group ``recipe``: list, read, copy and check recipes."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tribetune.cli.command import command
from tribetune.cli.options import AsJson, Overrides, RecipeName
from tribetune.cli.table import print_entries, print_json
from tribetune.errors import RecipeError
from tribetune.shipped import about_recipe, find_recipe, shipped_recipes


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="List, read, copy and check recipes.")
    command(group, "ls", example="tribetune recipe ls")(ls)
    command(group, "show", example="tribetune recipe show lora-one-hour")(show)
    command(group, "cp", example="tribetune recipe cp lora-one-hour mine.yaml")(cp)
    command(group, "check", example="tribetune recipe check mine.yaml --set adaptation.rank=4")(check)
    command(group, "schema", example="tribetune recipe schema > recipe.schema.json")(schema)
    app.add_typer(group, name="recipe")


def ls(as_json: AsJson = False) -> None:
    """List the shipped recipes: what each is for, what it needs, how long it takes and on what."""
    recipes = {name: about_recipe(path) for name, path in shipped_recipes().items()}
    if as_json:
        print_json([{"recipe": name, **asdict(about)} for name, about in recipes.items()])
        return
    print_entries({name: asdict(about) for name, about in recipes.items()})


def show(recipe: RecipeName) -> None:
    """Print a recipe."""
    typer.echo(find_recipe(recipe).read_text(encoding="utf-8"), nl=False)


def cp(
    recipe: RecipeName,
    destination: Annotated[Path | None, typer.Argument(metavar="DEST", help="File or folder; default here.")] = None,
) -> None:
    """Copy a recipe to edit it; an existing file is never overwritten."""
    source = find_recipe(recipe)
    target = destination or Path(source.name)
    if target.is_dir():
        target /= source.name
    if target.exists():
        raise RecipeError(f"{target} exists already", hint=f"tribetune recipe cp {recipe} ANOTHER-NAME.yaml")
    if not target.parent.is_dir():
        raise RecipeError(f"{target.parent}: no such folder", hint=f"mkdir -p {target.parent}")
    shutil.copyfile(source, target)
    typer.echo(target)


def check(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Read everything the recipe names, train nothing, and say what would be done."""
    from tribetune.study import check as study

    for line in study.check(str(find_recipe(recipe)), overrides or []):
        typer.echo(line)


def schema() -> None:
    """Print the JSON schema of a recipe, for editors."""
    from tribetune.recipe.file import recipe_schema

    print_json(recipe_schema())
