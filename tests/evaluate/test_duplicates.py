import numpy as np
import pytest

from tribetune.evaluate.duplicates import compact, plain_words, shared_series, shared_words, word_sketch
from tribetune.simulate.language import tell

STEP_S = 0.5


def series(seed, n_steps=600, n_dims=16):
    """Slow and fast changes, as features have them."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n_steps, n_dims))
    slow = np.cumsum(noise, axis=0)
    return (slow - slow.mean(0) + 2 * rng.standard_normal((n_steps, n_dims))).astype(np.float32)


def story(seed, run=1):
    return plain_words([word.text for word in tell(seed, run, 240.0).words])


def test_a_copy_is_found_wherever_it_lies_at_any_gain_and_under_noise():
    film = series(0)
    rng = np.random.default_rng(9)
    copy = 3 * film[100:300] + 1 + rng.standard_normal((200, 16))
    found = shared_series(np.concatenate([series(1, 80), copy, series(2, 80)]), film, STEP_S)
    assert found is not None
    assert found.offset_s == pytest.approx((100 - 80) * STEP_S)
    assert found.seconds == pytest.approx(100, abs=40)  # stretches of 20 s, those at its ends are not whole
    back = shared_series(film, np.concatenate([series(1, 80), copy, series(2, 80)]), STEP_S)
    assert back is not None
    assert back.offset_s == -found.offset_s


def test_a_copy_that_begins_between_two_steps_is_found():
    fine = np.repeat(series(3, 1200), 2, axis=0)  # at 4 Hz
    whole = fine[: 2 * 600].reshape(600, 2, 16).mean(1)
    later = fine[201 : 201 + 2 * 300].reshape(300, 2, 16).mean(1)
    found = shared_series(later, whole, STEP_S)
    assert found is not None
    assert found.offset_s in (50.0, 50.5)


def test_different_material_shares_nothing():
    pairs = [(a, b) for a in range(6) for b in range(6) if a != b]
    assert not [pair for pair in pairs if shared_series(series(pair[0]), series(pair[1]), STEP_S)]


@pytest.mark.parametrize("period", [16, 60])
def test_a_block_design_is_no_copy_of_another(period):
    rng = np.random.default_rng(4)

    def design(n_steps):
        shown = np.zeros((n_steps, 16), np.float32)
        for onset in range(0, n_steps, period):
            shown[onset : onset + 2] = 1.5 + 0.7 * rng.standard_normal(16)
        return shown + 0.1 * rng.standard_normal(shown.shape).astype(np.float32)

    assert shared_series(design(600), design(2400), STEP_S) is None


def test_what_does_not_change_or_is_too_short_shares_nothing():
    still = np.ones((400, 16), np.float32)
    assert shared_series(still, still, STEP_S) is None
    assert shared_series(series(5, 30), series(5, 30), STEP_S) is None
    assert shared_series(np.zeros((0, 16), np.float32), series(5), STEP_S) is None


def test_silence_in_both_is_not_counted():
    one, other = series(6), series(7)
    other[:200] = one[:200]
    one[300:], other[300:] = 0, 0
    found = shared_series(one, other, STEP_S)
    assert found is not None
    assert found.seconds == 100  # not the silence after 150 s


def test_features_are_made_small_the_same_way_at_any_scale():
    values = np.random.default_rng(0).standard_normal((2, 40, 50)).astype(np.float32)
    small = compact(values)
    assert small.shape == (50, 16)
    np.testing.assert_allclose(compact(7 * values + 2), small, atol=1e-4)  # float32
    assert np.isfinite(compact(np.zeros((2, 40, 50), np.float32))).all()


def test_words_are_shared_where_eight_stand_in_the_same_order():
    text = story(0)
    assert shared_words(text, text) == len(text)
    assert shared_words(text[40:70], text) == 30
    assert shared_words((*story(1)[:50], *text[40:47], *story(1)[60:90]), text) < 8
    assert shared_words(text[:5], text) == 5
    assert shared_words((), text) == shared_words(text, ()) == 0


def test_stories_of_one_vocabulary_share_less_than_a_twentieth():
    stories = [story(seed) for seed in range(6)]
    shares = [shared_words(a, b) / len(a) for a in stories for b in stories if a is not b]
    assert len(shares) == 30
    assert max(shares) < 0.05


def test_words_are_compared_without_case_and_punctuation():
    assert plain_words(["Well,", "—", "DON'T", "_go_"]) == ("well", "dont", "go")


def test_a_sketch_keeps_a_sixteenth_and_a_part_has_a_part_of_it():
    text = story(0) + story(2)
    whole, part = word_sketch(text), word_sketch(text[100:400])
    assert set(part) <= set(whole)
    assert len(text) / 32 < len(whole) < len(text) / 8  # binomial: 4 SD
    assert not set(whole) & set(word_sketch(story(1)))
    assert word_sketch(text[:5]) == ()
