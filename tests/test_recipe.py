from dataclasses import fields
from typing import get_args

import pytest
import yaml

from tribetune.adapt.methods import METHODS
from tribetune.bold.confounds import DEFAULTS
from tribetune.errors import RecipeError
from tribetune.recipe.data import Thresholds
from tribetune.recipe.file import dump_recipe, read_any_recipe, read_pretrain_recipe, read_recipe, recipe_schema
from tribetune.recipe.schema import Adaptation
from tribetune.shipped import shipped_recipes

MINIMAL = """
name: mine
data: {bids: data/x, subject: "01", task: movie, split: {by: run, test: [4]}}
adaptation: {method: readout}
"""


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL)
    return path


def test_only_what_differs_from_a_default_is_written(recipe_file):
    recipe = read_recipe(recipe_file)
    assert (recipe.windows.duration_s, recipe.windows.hemodynamic_lag_s) == (100, 5.0)
    assert recipe.adaptation.method == "readout"
    assert recipe.data.calibration_minutes == 60


def test_an_override_replaces_one_value_read_as_yaml(recipe_file):
    recipe = read_recipe(recipe_file, ["adaptation.method=lora", "adaptation.rank=4", "data.split.test=[3, 4]"])
    assert (recipe.adaptation.method, recipe.adaptation.rank) == ("lora", 4)
    assert recipe.data.split.test == [3, 4]


@pytest.mark.parametrize(("text", "subject"), [("02", "02"), ("'02'", "02"), ("7", "7"), ("s18", "s18")])
def test_a_subject_is_a_label_also_where_it_looks_like_a_number(recipe_file, text, subject):
    assert read_recipe(recipe_file, [f"data.subject={text}"]).data.subject == subject


def test_all_faults_are_told_at_once_with_the_nearest_key(recipe_file):
    faults = ["windows.duration=90", "adaptation.epochs=0", "data.calibration_minutes=-1", "data.subject=[1]"]
    with pytest.raises(RecipeError) as caught:
        read_recipe(recipe_file, faults)
    message = str(caught.value)
    assert "4 faults" in message
    assert "windows.duration: unknown key, did you mean 'duration_s'?" in message
    assert "adaptation.epochs: " in message
    assert "data.calibration_minutes" in message
    assert "data.subject" in message


def test_a_study_has_one_source_of_bold(recipe_file):
    with pytest.raises(RecipeError, match="one of them only"):
        read_recipe(recipe_file, ["data.tables.path=x.npz"])
    with pytest.raises(RecipeError, match="space: table"):
        read_recipe(recipe_file, ["data.space=table"])


@pytest.mark.parametrize(
    "text", ["", "- a\n- b\n", "a: [", "a: &x [1]\nb: *x\n", "a: !!python/object/apply:os.system [ls]\n"]
)
def test_what_is_not_a_plain_recipe_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_an_alias_bomb_is_refused_before_it_grows(tmp_path):
    rows = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    rows += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    (tmp_path / "bomb.yaml").write_text("\n".join(rows))
    with pytest.raises(RecipeError, match="aliases"):
        read_recipe(tmp_path / "bomb.yaml")


@pytest.mark.parametrize("override", ["rank", "=4", "name.x=4", "adaptation.rank=[", "adaptation.rank=*x"])
def test_a_wrong_override_is_told(recipe_file, override):
    with pytest.raises(RecipeError, match="--set"):
        read_recipe(recipe_file, [override])


def test_a_missing_file_and_a_huge_one_are_told(tmp_path):
    with pytest.raises(RecipeError, match="no recipe at"):
        read_recipe(tmp_path / "none.yaml")
    (tmp_path / "huge.yaml").write_text("a: " + "x" * 1_000_001)
    with pytest.raises(RecipeError, match="not a recipe"):
        read_recipe(tmp_path / "huge.yaml")


def test_the_resolved_recipe_reads_back_the_same(recipe_file, tmp_path):
    recipe = read_recipe(recipe_file)
    (tmp_path / "resolved.yaml").write_text(dump_recipe(recipe))
    assert read_recipe(tmp_path / "resolved.yaml") == recipe


def test_every_shipped_recipe_reads():
    recipes = shipped_recipes()
    assert {"readout-one-hour", "lora-one-hour", "alice-listening", "pretrain-toy"} <= set(recipes)
    for path in recipes.values():
        read_any_recipe(path)
    assert read_pretrain_recipe(recipes["pretrain-toy"]).pretraining.keep == "unseen"


def test_the_recipe_of_a_method_has_the_methods_own_fields_and_defaults():
    (union, _), counted = get_args(Adaptation), 0
    for section in get_args(union):
        name = section.model_fields["method"].annotation.__args__[0]
        if name == "ladder":  # climbs over methods, and is none
            (rung,) = get_args(section.model_fields["rungs"].annotation)
            assert set(get_args(rung)) == METHODS.keys() - {"zero-shot"}
            continue
        own = {field.name: field.default for field in fields(METHODS[name].settings)}
        assert own == {key: info.default for key, info in section.model_fields.items() if key != "method"}
        counted += 1
    assert counted == len(METHODS) == 7


def test_the_thresholds_of_a_recipe_are_those_of_cleaning():
    own = {field.name: getattr(DEFAULTS, field.name) for field in fields(DEFAULTS)}
    assert own == Thresholds().model_dump()


PARCELS = "data.parcellation={file: schaefer.csv}"
LAYOUT = "data={layout: {bold: '{run}.nii', media: '{film}.mkv'}, subject: a, split: {by: run, test: [1]}}"
EVENTS = "data={layout: {bold: '{run}.nii', events: '{run}.tsv'}, subject: a, split: {by: run, test: [1]}}"
FILES = "data.files=[{run: 1, bold: [lh.mgz, rh.mgz]}, {run: 2, bold: [run-2.nii.gz], t_r: 1.5}]"


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.space=fsaverage5+subcortex", "data.subcortex.smoothing_fwhm_mm=0", "data.volume.depth=0.5"],
        ["data.space=schaefer400", PARCELS],
        ["data.space=tian32", "data.parcellation={file: tian.nii.gz, names: tian.tsv}"],
        ["data.bids=null", FILES, "data.space=fsLR"],
        ["data.cleaning=scrubbing", "data.thresholds={fd_threshold_mm: 0.2, n_compcor: 5}"],
    ],
)
def test_bold_comes_from_many_files_into_many_spaces(recipe_file, tmp_path, overrides):
    recipe = read_recipe(recipe_file, overrides)
    (tmp_path / "resolved.yaml").write_text(dump_recipe(recipe))
    assert read_recipe(tmp_path / "resolved.yaml") == recipe


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["data.space=schaefer400"], "needs `parcellation`"),
        ([PARCELS], "belong together"),
        (["data.space=fsaverage"], "expected one of fsaverage5"),
        (["data.space=x4", "data.parcellation={left: lh.annot}"], "give either `left` and `right`, or `file`"),
        (["data.space=x4", "data.parcellation={file: x.nii}"], "needs `names`"),
        ([FILES], "one of them only"),
        (["data.bids=null", FILES.replace("run: 2", "run: 1")], "two runs of `files` are called 1"),
        (
            [LAYOUT, "data.runs={1: {film: a, onset: 8}}"],
            "'onset' is, and no path has it; there are film, onset_s, run",
        ),
        ([LAYOUT, "data.runs={1: {film: a, onset_s: 8 s}}"], "`onset_s` of run 1 in `runs` is a text"),
        ([EVENTS, "data.runs={1: {onset_s: 8}}"], "'onset_s' is, and no path has it; there are run"),
        ([EVENTS, "data.layout.onset_s=8"], "`events` has onsets of its own"),
        (["data.runs={1: {film: a}}"], "is a list of names"),
        (
            ["adaptation.method=rigde"],
            "adaptation.method: 'rigde' is not known, expected one of zero-shot, gain, ridge",
        ),
        (["adaptation={}"], "adaptation.method: missing"),
        (["data.split={test: [4]}"], "data.split.by: missing"),
        (["data.cleaning=icaaroma"], "'compcor'"),
        (["data.thresholds={fd_threshold: 0.2}"], "did you mean 'fd_threshold_mm'"),
        (["data.bids=null", "data.tables.path=x.npz", "data.space=table", "data.cleaning=simple"], "have none"),
        (
            ["data.bids=null", "data.space=nowhere"],
            "give `bids`, `files`, `layout` or `tables`, and one of them only; `space` is",
        ),
    ],
)
def test_choices_that_do_not_fit_together_are_refused(recipe_file, overrides, told):
    with pytest.raises(RecipeError) as caught:
        read_recipe(recipe_file, overrides)
    assert told in str(caught.value)


def test_every_key_of_the_data_section_is_explained_or_a_section():
    schema = recipe_schema()["$defs"]
    for name in ("Data", "RunOfFiles", "Thresholds", "Parcels", "Volumes", "Subcortex"):
        assert {key for key, said in schema[name]["properties"].items() if not said.get("description")} == set()


def test_every_key_of_the_schema_is_explained_or_a_section():
    schema = recipe_schema()
    assert yaml.safe_load(yaml.safe_dump(schema))["properties"]["format"]["const"] == 1
    assert "mistake" not in schema["properties"]


@pytest.mark.parametrize(
    "override", ["windows.duration_s=33.3", "windows.stride_s=0.5", "data.calibration_minutes=.inf"]
)
def test_windows_are_whole_seconds_and_numbers_are_finite(recipe_file, override):
    with pytest.raises(RecipeError, match=override.partition("=")[0]):
        read_recipe(recipe_file, [override])


def test_a_fault_inside_a_chosen_section_has_the_path_that_the_recipe_has(recipe_file):
    with pytest.raises(RecipeError) as caught:
        read_recipe(recipe_file, ["data.split={by: block, test: 2}", "adaptation={method: lora, rang: 4}"])
    assert "data.split.test: " in str(caught.value)
    assert "adaptation.rang: unknown key, did you mean 'rank'?" in str(caught.value)


def test_a_recipe_of_the_other_kind_is_sent_to_its_command(recipe_file):
    with pytest.raises(RecipeError) as caught:
        read_recipe(shipped_recipes()["pretrain-toy"])
    assert "tribetune pretrain" in caught.value.hint
    with pytest.raises(RecipeError) as caught:
        read_pretrain_recipe(recipe_file)
    assert "recipe schema" not in caught.value.hint  # which is that of an adaptation
