"""The house: installation, imports, walls, help, and documents that stay true."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import torch
import typer
import yaml
from jaxtyping import TypeCheckError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from docs.blocks import check_command
from tribetune.cli.app import build
from tribetune.files import hash_file
from tribetune.recipe.file import read_any_recipe
from tribetune.scores import pearson_r
from tribetune.shipped import about_recipe, shipped_recipes

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()


def commands(app: typer.Typer, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command of an app and of its groups."""
    found = [(*path, command.name or "") for command in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        found += commands(group.typer_instance, (*path, str(group.name)))
    return found


COMMANDS = commands(build())


def code_blocks(text: str) -> list[str]:
    """Lines of the fenced blocks that name no language."""
    return [line for block in re.findall(r"^```\n(.*?)^```", text, flags=re.M | re.S) for line in block.splitlines()]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pinned}


def test_torchvision_and_torchaudio_are_kept_out():
    # a torchvision that does not fit torch's build breaks transformers, peft, torchmetrics and lightning
    for name in ("torchvision", "torchaudio"):
        assert importlib.util.find_spec(name) is None
        assert name not in pins()


def test_a_wrong_type_and_a_wrong_shape_fail_wherever_tests_meet_them():
    with pytest.raises(TypeCheckError, match=r"path='film\.mp4'"):
        hash_file("film.mp4")
    bold, mask = torch.zeros(3, 2), torch.ones(4, dtype=torch.bool)
    with pytest.raises(TypeCheckError, match="mask"):
        pearson_r(bold, bold, mask)


@pytest.mark.parametrize("name", ["torch", "torchmetrics", "lightning", "transformers", "peft"])
def test_the_heavy_packages_import_without_torchvision(name):
    assert importlib.import_module(name)


def test_help_loads_nothing_heavy():
    heavy = [
        "torch",
        "numpy",
        "pandas",
        "scipy",
        "nibabel",
        "nilearn",
        "matplotlib",
        "transformers",
        "lightning",
        "peft",
        "av",
    ]
    code = (
        "import sys; from tribetune.cli.app import build; build()(['--help'], standalone_mode=False);"
        f"sys.exit(', '.join(set({heavy}) & set(sys.modules)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "demo" in result.stdout
    assert result.returncode == 0, result.stderr


def test_there_are_as_many_commands_as_promised():
    top = {"demo", "adapt", "evaluate", "group", "plan", "predict", "simulate", "pretrain", "doctor"}
    groups = {
        *(("features", n) for n in ("extract", "ls", "verify", "export", "import", "transcribe")),
        *(("bold", n) for n in ("ls", "lag")),
        *(("hub", n) for n in ("push", "pull", "ls", "verify", "card", "convert")),
        *(("adapters", n) for n in ("average", "merge")),
        *(("recipe", n) for n in ("ls", "show", "cp", "check", "schema")),
    }
    assert set(COMMANDS) == {(name,) for name in top} | groups


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_an_example_in_its_help(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(build(), [*command, "--help"])
    assert result.exit_code == 0
    assert f"Example: tribetune {' '.join(command)}" in result.stdout


def test_a_misused_command_exits_2():
    assert CliRunner().invoke(build(), ["predict"]).exit_code == 2


def test_the_version_is_the_packages():
    import tribetune

    assert CliRunner().invoke(build(), ["--version"]).stdout.strip() == f"tribetune {tribetune.__version__}"


def test_every_room_has_its_place_in_the_layers():
    contract = next(c for c in PYPROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    layers = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    package = ROOT / "src" / "tribetune"
    rooms = {path.stem for path in package.glob("*.py") if path.stem != "__init__"}
    rooms |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert {f"tribetune.{room}" for room in rooms} == layers


def test_the_walls_are_the_ones_agreed_on():
    names = [contract["name"] for contract in PYPROJECT["tool"]["importlinter"]["contracts"]]
    wanted = ["Data flows one way", "A recipe stops at the wiring", "The modalities do not know each other"]
    assert names[:3] == wanted


def test_the_readmes_tree_names_every_room_and_no_other():
    tree = re.search(r"^src/tribetune/\n((?:  .*\n)+)", README, flags=re.M)
    assert tree is not None
    named = set(re.findall(r"^  (\S+)", tree[1], flags=re.M))
    package = ROOT / "src" / "tribetune"
    there = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")} | {
        path.name for path in package.glob("*.py") if path.name != "__init__.py"
    }
    assert named == there


def test_the_readmes_tree_names_every_folder_and_none_that_is_not_there():
    tree = re.search(r"^```\n(src/tribetune/\n.*?)^```", README, flags=re.M | re.S)
    assert tree is not None
    named = set(re.findall(r"^([\w/]+)/ *", tree[1], flags=re.M))
    assert all((ROOT / folder).is_dir() for folder in named)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("not a git repository: which folders are the project's is not known")
    there = {line.partition("/")[0] for line in listed.splitlines() if "/" in line and not line.startswith(".")}
    assert {folder.partition("/")[0] for folder in named} == there


def test_every_command_of_the_readme_exists_and_takes_its_words():
    lines = [line for line in code_blocks(README) if line.startswith(("make ", "tribetune "))]
    ours = [shlex.split(line, comments=True) for line in lines]
    assert ["make", "demo"] in ours
    assert ["make", "test"] in ours
    assert len(ours) >= 20
    for words in ours:
        check_command(words)


def test_the_first_screen_of_the_readme_says_whose_it_is_and_under_which_licence():
    first = "\n".join(README.splitlines()[:25])
    for wanted in ("independent of Meta", "Apache-2.0", "CC-BY-NC", "make demo", "make test"):
        assert wanted in first


def test_the_licence_is_apache_2_in_full():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_gate_calls_make_test_and_make_test_checks_all_four():
    gate = ROOT / ".ci" / "run"
    assert os.access(gate, os.X_OK)
    assert "make test" in gate.read_text()
    target = re.search(r"^test:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.M)
    assert target is not None
    for tool in ("ruff check", "ruff format --check", "lint-imports", "ty check", "pytest"):
        assert tool in target[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_second_make_installs_nothing(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)

    def planned() -> str:
        plan = subprocess.run(["make", "-n", "demo"], cwd=tmp_path, capture_output=True, text=True, check=True)
        return plan.stdout

    assert "pip install" in planned()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    assert "pip install" not in planned()
    assert "tribetune demo" in planned()


def test_every_dependency_is_pinned_to_a_version_it_allows():
    project = PYPROJECT["project"]
    wanted = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["dev"])]
    assert len(wanted) > 20
    for requirement in wanted:
        version = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement
    assert "+" not in "".join(pins().values()), "a local version such as 2.13.0+cpu exists on one machine only"


def test_the_malicious_releases_of_lightning_are_excluded():
    lightning = next(Requirement(text) for text in PYPROJECT["project"]["dependencies"] if "lightning" in text)
    assert not any(lightning.specifier.contains(version) for version in ("2.6.2", "2.6.3"))


def test_the_wheel_carries_recipes_and_checkpoints(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("recipes", "checkpoints"):
        files = [path for path in (ROOT / kind).rglob("*") if path.is_file() and not path.name.startswith(".")]
        assert files
        for path in files:
            assert f"tribetune/shipped/{path.relative_to(ROOT).as_posix()}" in names
    assert "tribetune/cli/app.py" in names
    assert not [name for name in names if name.startswith("tests/")]


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid_begins_with_what_it_does_and_carries_its_name(name):
    path = shipped_recipes()[name]
    read_any_recipe(path)
    assert path.read_text().startswith("# ")
    assert yaml.safe_load(path.read_text())["name"]


def test_the_table_of_recipes_has_a_row_for_each_that_says_what_its_file_says():
    lines = (ROOT / "recipes" / "README.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    said = {cells[0].strip("`"): cells[1:] for cells in rows}
    assert len(said) == len(rows)
    assert said.keys() == shipped_recipes().keys()
    assert len(said) >= 10
    for name, path in shipped_recipes().items():
        about = about_recipe(path)
        assert said[name][:4] == [about.purpose, about.data, about.minutes, about.machine]
        assert all(said[name]), f"{name}: every cell says something"
