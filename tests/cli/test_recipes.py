"""The group ``recipe``."""

import json
import re

from tribetune.shipped import about_recipe, shipped_recipes


def test_ls_lists_every_shipped_recipe_with_what_it_does(tribetune):
    result = tribetune("recipe", "ls")
    assert result.exit_code == 0
    assert shipped_recipes()
    for name, path in shipped_recipes().items():
        assert name in result.stdout
        assert path.read_text().startswith("# "), f"{name}: a recipe begins with a comment that says what it does"


def test_ls_says_what_each_is_for_what_it_needs_how_long_it_takes_and_on_what(tribetune):
    rows = json.loads(tribetune("recipe", "ls", "--json").stdout)
    assert [row["recipe"] for row in rows] == list(shipped_recipes())
    for row in rows:
        assert all(row[key] for key in ("purpose", "data", "minutes", "machine")), row


def test_ls_tells_one_recipe_below_the_other_in_lines_that_fit(tribetune, monkeypatch):
    for columns in (80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        entries = tribetune("recipe", "ls").stdout.strip().split("\n\n")
        assert [entry.splitlines()[0] for entry in entries] == list(shipped_recipes())
        for entry, path in zip(entries, shipped_recipes().values(), strict=True):
            lines, about = entry.splitlines(), about_recipe(path)
            assert all(line.startswith("  ") and len(line) <= columns for line in lines[1:])
            wanted = f"{path.stem} {about.purpose} data {about.data} minutes {about.minutes} machine {about.machine}"
            assert " ".join(entry.split()) == wanted
            heads = [line[:11].strip() for line in lines if re.match(r"  (data|minutes|machine)  ", line)]
            assert heads == ["data", "minutes", "machine"]


def test_show_prints_the_file_as_it_is(tribetune):
    name, path = next(iter(shipped_recipes().items()))
    assert tribetune("recipe", "show", name).stdout == path.read_text()


def test_cp_makes_a_copy_and_never_overwrites(tribetune, tmp_path):
    name, path = next(iter(shipped_recipes().items()))
    assert tribetune("recipe", "cp", name, tmp_path).exit_code == 0
    copy = tmp_path / path.name
    assert copy.read_text() == path.read_text()
    copy.write_text("mine")
    again = tribetune("recipe", "cp", name, tmp_path)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert copy.read_text() == "mine"


def test_cp_into_a_missing_folder_is_the_users_to_mend(tribetune, tmp_path):
    result = tribetune("recipe", "cp", next(iter(shipped_recipes())), tmp_path / "no" / "mine.yaml")
    assert result.exit_code == 2
    assert "hint: mkdir -p" in result.stderr


def test_a_misspelt_recipe_lists_what_is_there(tribetune):
    result = tribetune("recipe", "show", "lora-one-our")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2
    for name in shipped_recipes():
        assert name in result.stderr


def test_a_file_is_preferred_to_a_shipped_recipe_of_that_name(tribetune, tmp_path, monkeypatch):
    name = next(iter(shipped_recipes()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("# mine\n")
    assert tribetune("recipe", "show", name).stdout == "# mine\n"


def test_schema_is_json_that_knows_the_main_sections(tribetune):
    schema = json.loads(tribetune("recipe", "schema").stdout)
    assert {"data", "features", "windows", "adaptation", "evaluation"} <= set(schema["properties"])


def test_check_tells_all_faults_at_once(tribetune, tmp_path):
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("format: 2\nname: x\nsede: 1\nadaptation: {method: lora, rank: 0}\n")
    result = tribetune("recipe", "check", recipe)
    assert result.exit_code == 2
    for fault in ("format", "sede", "rank", "data"):
        assert fault in result.stderr
