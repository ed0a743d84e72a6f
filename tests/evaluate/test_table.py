from dataclasses import replace

import numpy as np

from tribetune.evaluate.bootstrap import Bootstrap
from tribetune.evaluate.table import Cost, table_rows, verdict


def bootstrap(**means):
    """A method's r is the same at four outputs; draws wobble by ±.01, together for all methods."""
    wobble = np.linspace(-0.01, 0.01, 101)[:, None]
    names = {name.replace("_", "-"): mean for name, mean in means.items()}
    return Bootstrap(
        {name: np.full(4, mean) for name, mean in names.items()},
        {name: np.repeat(mean + wobble * (1 + k), 2, axis=1) for k, (name, mean) in enumerate(names.items())},
        np.ones((2, 4), bool),
        16,
    )


def test_a_win_over_both_is_worth_using():
    sentence = verdict(bootstrap(zero_shot=0.1, fir=0.05, readout=0.2), ["readout"])
    assert "readout beats zero-shot (+0.100" in sentence
    assert "beats the FIR baseline (+0.150" in sentence
    assert sentence.endswith("It is worth using.")


def test_a_loss_is_told_and_the_better_method_named():
    sentence = verdict(bootstrap(zero_shot=0.1, fir=0.3, readout=0.2), ["readout"])
    assert "is worse than the FIR baseline (-0.100" in sentence
    assert sentence.endswith("Use the FIR baseline instead.")


def test_a_difference_within_its_interval_is_no_win():
    sentence = verdict(bootstrap(zero_shot=0.1, fir=0.05, readout=0.101), ["readout"])
    assert "does not differ reliably from zero-shot" in sentence
    assert sentence.endswith("These data do not show that adapting helps.")


def test_a_win_over_zero_shot_alone_is_told_as_that():
    sentence = verdict(bootstrap(zero_shot=0.1, fir=0.2, readout=0.201), ["readout"])
    assert sentence.endswith("Adapting helps, but these data do not show that it beats the FIR baseline.")


def test_the_best_of_methods_that_predict_nothing_is_not_worth_using():
    sentence = verdict(bootstrap(zero_shot=-0.2, fir=-0.1, readout=0.005), ["readout"])
    assert "beats zero-shot" in sentence
    assert sentence.endswith("its own score is not reliably above zero.")


def test_without_baselines_or_methods_the_verdict_says_so():
    assert "no baseline" in verdict(bootstrap(readout=0.1), ["readout"])
    assert "Nothing was adapted" in verdict(bootstrap(fir=0.1), [])


def test_without_an_interval_nothing_is_beaten_and_nothing_lost():
    sure = bootstrap(zero_shot=0.1, fir=0.05, readout=0.2)
    unsure = replace(sure, draws={name: np.full_like(draws, np.nan) for name, draws in sure.draws.items()})
    sentence = verdict(unsure, ["readout"])
    assert sentence.startswith("readout: +0.100 to zero-shot and +0.150 to the FIR baseline in mean r")
    assert sentence.endswith("Nothing can be said of it.")


def test_other_subjects_are_told_of_but_are_no_rival():
    sentence = verdict(bootstrap(zero_shot=0.1, fir=0.05, others=0.4, readout=0.2), ["readout"])
    worth, comparison = sentence.split(" For comparison, ")
    assert worth.endswith("It is worth using.")
    assert comparison.startswith("readout is worse than the mean of the other subjects (-0.200")
    assert "other subjects" not in verdict(bootstrap(zero_shot=0.1, fir=0.05, readout=0.2), ["readout"])


def test_two_methods_have_a_sentence_each():
    sentence = verdict(bootstrap(zero_shot=0.1, fir=0.05, readout=0.2, lora=0.04), ["readout", "lora"])
    assert sentence.count("beats zero-shot") == 1
    assert "lora is worse than zero-shot" in sentence


def test_rows_are_in_order_with_costs_and_paired_differences():
    costs = {"zero-shot": Cost(0, 0, 1.0), "fir": Cost(24, 100, 2.0), "readout": Cost(24, 10, 3.0)}
    rows = table_rows(bootstrap(zero_shot=0.1, fir=0.05, readout=0.2), costs, {}, dict.fromkeys(costs, (0.02, 0.05)))
    assert [row["method"] for row in rows] == list(costs)
    assert rows[0]["delta_zero_shot"] is None
    assert np.isclose(rows[2]["delta_fir"]["mean"], 0.15)
    assert (rows[2]["trained_parameters"], rows[2]["null_95"], rows[2]["null_95_selected"]) == (10, 0.02, 0.05)
    assert (rows[2]["n_outputs"], rows[2]["n_selected"]) == (4, 4)


def test_a_method_that_is_not_defined_has_its_reason_and_no_score():
    costs = {"zero-shot": Cost(0, 0, 0.0), "fir": Cost(24, 100, 2.0)}
    row, other = table_rows(bootstrap(fir=0.05), costs, {"zero-shot": "no unseen row"}, {"fir": (0.02, 0.05)})
    assert not row["defined"]
    assert np.isnan(row["mean_r"])
    assert row["reason"] == "no unseen row"
    assert other["delta_zero_shot"] is None
