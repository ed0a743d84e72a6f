"""The table of methods on stdout."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tribetune.cli.cells import with_interval
from tribetune.cli.table import methods_table, print_json, print_result

NAN = float("nan")


def row(method, **changed):
    return {
        "method": method,
        "calibration_minutes": 16.0,
        "trained_parameters": 5_243_904,
        "seconds": 12.4,
        "mean_r": 0.1034,
        "n_outputs": 18_715,
        "interval": [0.09, 0.12],
        "mean_r_selected": 0.2421,
        "n_selected": 1_872,
        "delta_zero_shot": {"mean": 0.0301, "interval": [0.0102, 0.0504]},
        "delta_fir": {"mean": -0.0526, "interval": [-0.0841, -0.0122]},
        "defined": True,
        **changed,
    }


UNDEFINED = row(
    "zero-shot",
    mean_r=NAN,
    mean_r_selected=NAN,
    n_outputs=0,
    n_selected=0,
    delta_zero_shot=None,
    delta_fir=None,
    defined=False,
    reason="the checkpoint has no unseen row",
)


@dataclass
class Found:
    rows: list[dict[str, Any]]
    verdict: str = "readout is worse than the FIR baseline."
    folder: Path = Path("runs/x")
    notes: list[str] = field(default_factory=lambda: ["sub-33 was left out: all zeros"])


def drawn(rows, width):
    console = Console(width=width, record=True, file=None, highlight=False)
    with console.capture() as capture:
        console.print(methods_table(rows, wide=width >= 100))
    return capture.get()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_number_is_cut_at_usual_widths(width):
    text = drawn([UNDEFINED, row("readout"), row("lora", trained_parameters=42_125_312, seconds=142.4)], width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for shown in ("5.24 M", "42.1 M", ".103", ".242", "+.030", "[+.010, +.050]", "-.053", "[-.084, -.012]"):
        assert shown in text, shown


def test_an_undefined_score_is_said_in_words_with_its_reason(capsys):
    print_result(Found([UNDEFINED, row("readout")]), as_json=False)
    shown = capsys.readouterr().out
    assert "nan" not in shown.lower()
    assert "not" in shown
    assert "zero-shot: not defined: the checkpoint has no unseen row" in shown


def test_the_table_says_over_how_many_outputs_the_verdict_and_where_it_was_saved(capsys):
    print_result(Found([row("readout"), row("fir", n_outputs=18_700)]), as_json=False, picture=Path("runs/x/map.png"))
    shown = capsys.readouterr().out
    for wanted in ("18,700–18,715", "1,872", "readout is worse", "runs/x", "map.png", "sub-33 was left out"):
        assert wanted in shown, wanted


def test_json_holds_the_rows_unrounded_and_null_where_nothing_is_defined(capsys):
    print_result(Found([UNDEFINED, row("readout")]), as_json=True)
    value = json.loads(capsys.readouterr().out)
    assert value["rows"][0]["mean_r"] is None
    assert value["rows"][1] == row("readout")
    assert value["verdict"] == Found([]).verdict
    assert value["folder"] == "runs/x"


def test_infinity_is_no_json_either(capsys):
    print_json({"r": float("inf")})
    assert json.loads(capsys.readouterr().out) == {"r": None}


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_difference_without_an_interval_is_shown_without_one(nothing):
    assert with_interval({"mean": 0.1234, "interval": [nothing, nothing]}, "+") == "+.123 [–]"


def test_a_difference_from_another_baseline_has_a_column_where_there_is_one():
    held = {"mean": 0.0213, "interval": [0.0101, 0.0325]}
    plain, more = drawn([row("readout")], 120), drawn([row("readout", delta_nuisance=held), row("nuisance")], 140)
    assert "Δ nuisance" not in plain
    assert "Δ nuisance" in more
    assert "+.021 [+.010, +.033]" in more


def sure(method, **changed):
    told = {"p": 0.001, "n_significant": 817, "n_tested": 18_848, "ceiling_kind": "repeat", "ceiling": 0.31}
    told |= {"n_ceiling": 9_012, "normalised": 0.622, "n_normalised": 9_012, "n_samples": 1_480, "n_effective": 124.2}
    told |= {"retrieval_top_1": 0.11, "retrieval_median_percentile": 78.4, "retrieval_n": 48.0, "null_95": 0.025}
    return row(method, **told | changed)


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_every_score_stands_beside_its_chance_its_ceiling_its_retrieval_and_its_n(capsys, narrow):
    print_result(Found([UNDEFINED, sure("readout"), sure("lora", p=0.213, mean_r=0.0871)]), as_json=False)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    line = next(
        line for line in shown.splitlines() if line.strip().startswith("lora") and ".087" in line and ".213" in line
    )
    for wanted in (".025", ".62", "78", "1,480"):
        assert wanted in line, wanted
    for wanted in ("[.090, .120]", "of 18,848", "(124)", "9,012 outputs whose", "(repeat)", "among all 48"):
        assert wanted in shown, wanted


def test_what_cannot_be_told_is_a_dash_and_not_a_number(capsys, narrow):
    nothing = {"ceiling_kind": "none", "ceiling": None, "normalised": None, "n_normalised": 0}
    print_result(Found([sure("readout", interval=[NAN, NAN], p=NAN, n_effective=NAN, **nothing)]), as_json=False)
    shown = capsys.readouterr().out
    assert "nan" not in shown.lower()
    assert "[–]" in shown
    assert "ceiling:" not in shown


def test_every_set_of_modalities_is_a_row_with_the_models_side_by_side(capsys, narrow):
    def parts(first):
        found = {"text+audio": (first, 0.04), "text": (0.06, 0.031), "audio": (0.05, -0.002)}
        return [{"from": name, "mean_r": r, "contribution": part} for name, (r, part) in found.items()]

    rows = [sure("zero-shot", modalities=parts(0.07)), sure("fir"), sure("readout", modalities=parts(0.11))]
    print_result(Found(rows), as_json=False)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    (line,) = [line for line in shown.splitlines() if line.strip().startswith("text+audio")]
    assert line.split() == ["text+audio", ".070", "+.040", ".110", "+.040"]
    (line,) = [line for line in shown.splitlines() if line.strip().startswith("audio")]
    assert line.split()[2] == "-.002"
    assert "The parts add up" in " ".join(shown.split())
