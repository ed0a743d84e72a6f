from dataclasses import replace
from itertools import combinations

import av
import numpy as np
import pytest

from tribetune.evaluate.checkpoint_leaks import checkpoint_leaks
from tribetune.evaluate.duplicates import compact, plain_words, word_sketch
from tribetune.evaluate.leaks import KINDS, Shown, shown_leaks
from tribetune.features.encoders import encoders
from tribetune.features.extract import extract
from tribetune.files import hash_file
from tribetune.model.training_list import TrainingStimulus, training_stimuli
from tribetune.simulate.language import tell
from tribetune.simulate.movie import make_film
from tribetune.stimulus.timeline import timeline_of_files

FILM_S = 40.0


def test_every_leak_has_its_name_in_words():
    assert len(KINDS) == 8
    assert all(told[0].islower() for told in KINDS.values())


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Five films, each with its words and the BOLD of somebody's run."""
    folder = tmp_path_factory.mktemp("films")
    found = []
    for seed in range(5):
        path = folder / f"film-{seed}.mp4"
        make_film(path, seed, 1, FILM_S)
        found.append(shown_film(path, f"sub-01_run-{seed}", folder, seed))
    return folder, found


def shown_film(path, label, folder, seed):
    features = extract(timeline_of_files([path]), encoders("tiny"), ["audio", "video"], folder / "store")
    words = plain_words([word.text for word in tell(seed, 1, FILM_S).words])
    series = {name: compact(values) for name, values in features.arrays.items()}
    bold = np.random.default_rng([7, seed]).standard_normal((int(FILM_S), 20)).astype(np.float32)
    span = (0, series["audio"].shape[0] // 2)
    return Shown(label, span, {hash_file(path): FILM_S}, (label, path.stem), words, series, bold)


def again(source, target, start_s=0.0):
    """Compress a film again: smaller, coarser, and without its first seconds."""
    with av.open(str(source)) as film, av.open(str(target), "w") as copy:
        video, audio = film.streams.video[0], film.streams.audio[0]
        pictures = copy.add_stream("libx264", rate=video.average_rate, options={"preset": "superfast", "crf": "34"})
        pictures.width, pictures.height, pictures.pix_fmt = 128, 96, "yuv420p"
        sounds = copy.add_stream("aac", rate=audio.rate, layout="mono", options={"b": "24000"})
        parts, number = [], 0
        for frame in film.decode(video, audio):
            if isinstance(frame, av.AudioFrame):
                parts.append(frame.to_ndarray())
            elif frame.time >= start_s:
                small = frame.reformat(128, 96, "yuv420p")
                small.pts, small.time_base, number = number, 1 / video.average_rate, number + 1
                copy.mux(pictures.encode(small))
        samples = np.concatenate(parts, axis=1)[:, int(start_s * audio.rate) :]
        for first in range(0, samples.shape[1], 1024):
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, first : first + 1024]), format="fltp", layout="mono"
            )
            block.sample_rate, block.pts = audio.rate, first
            copy.mux(sounds.encode(block))
        copy.mux(sounds.encode(None))
        copy.mux(pictures.encode(None))
    return target


def kinds(test, training):
    leaks, _ = shown_leaks(test, training)
    return [leak.kind for leak in leaks]


def test_ten_clean_pairs_of_films_give_no_alarm(films):
    pairs = list(combinations(films[1], 2))
    assert len(pairs) == 10
    for one, other in pairs:
        assert shown_leaks(one, other) == ([], [])


def test_the_same_film_in_another_run_is_found(films):
    one, other = films[1][:2]
    test = replace(other, contents=one.contents)
    assert kinds(test, one) == ["same-stimulus"]


def test_a_film_compressed_again_and_cut_is_found(films):
    folder, (other, *_) = films
    make_film(folder / "long.mp4", 9, 1, 100.0)
    whole = shown_film(folder / "long.mp4", "sub-01_run-8", folder, 8)
    copy = shown_film(again(folder / "long.mp4", folder / "copy.mp4", 20.1), "sub-01_run-9", folder, 3)
    leaks, _ = shown_leaks(copy, whole)
    assert {leak.kind for leak in leaks} == {"near-duplicate"}
    assert {leak.told.partition(":")[0] for leak in leaks} == {"audio", "video"}
    assert kinds(copy, other) == []


def test_the_same_words_are_found_and_title_music_is_only_a_repeat(films):
    one, other = films[1][:2]
    assert kinds(replace(other, words=one.words), one) == ["same-words"]
    long = replace(other, span=(0, 600), contents={"title": 45.0, "b": 555.0})
    leaks, repeats = shown_leaks(long, replace(one, span=(0, 600), contents={"title": 45.0, "a": 555.0}))
    assert not leaks
    assert [repeat.kind for repeat in repeats] == ["same-stimulus"]


def test_a_run_under_another_name_and_one_on_both_sides_are_found(films):
    rng = np.random.default_rng(0)
    bold = rng.standard_normal((300, 20)).astype(np.float32)
    one = Shown("sub-01_run-1", (0, 300), bold=bold)
    smoothed = bold[20:] + 0.3 * np.roll(bold[20:], 1, axis=1)  # without its first volumes, and preprocessed again
    assert kinds(Shown("sub-01_run-2", (0, 280), bold=smoothed), one) == ["same-run"]
    same_film = 0.3 * bold + rng.standard_normal(bold.shape).astype(np.float32)
    assert kinds(Shown("sub-01_run-2", (0, 300), bold=same_film), one) == []
    assert kinds(replace(one, span=(200, 300)), replace(one, span=(0, 201))) == ["same-run"]
    apart = replace(one, span=(200, 300), bold=bold[200:]), replace(one, span=(0, 90), bold=bold[:90])
    assert kinds(*apart) == []


def test_two_blocks_of_one_run_may_share_their_file(films):
    one = films[1][0]
    later = replace(one, span=(30, 46), words=(), series={}, bold=one.bold[30:46])
    assert kinds(later, replace(one, span=(0, 16), words=(), series={}, bold=one.bold[:16])) == []


def test_stimuli_of_the_checkpoint_are_found_by_bytes_words_and_names(films):
    one, other = films[1][:2]
    (content,) = one.contents
    by_file = TrainingStimulus("a film", frozenset({content}))
    (leak,) = checkpoint_leaks(one, [by_file])
    assert (leak.kind, leak.training) == ("in-checkpoint", "a film")
    assert not checkpoint_leaks(other, [by_file])
    told = plain_words([word.text for word in tell(0, 1, 480.0).words])
    by_words = TrainingStimulus("a story", words=frozenset(word_sketch(told)))
    assert [leak.training for leak in checkpoint_leaks(replace(one, words=told[100:400]), [by_words])] == ["a story"]
    assert not checkpoint_leaks(other, [by_words])
    by_name = TrainingStimulus("the second", called=(r"film-1$",))
    assert [leak.told for leak in checkpoint_leaks(other, [by_name])] == ["it is called 'film-1'"]
    assert not checkpoint_leaks(one, [by_name])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("friends_s01e02a", "Friends, seasons 1 to 6"),
        ("sub-01_ses-003_task-s06e24b", "Friends, seasons 1 to 6"),
        ("friends_s07e01a", None),
        ("sherlock_s01e02", None),
        ("sub-01_ses-001_task-bourne01", "The Bourne Supremacy"),
        ("melbourne", None),
        ("sub-02_task-wolf12", "The Wolf of Wall Street"),
        ("wolfman", None),
        ("task-figures03", "Hidden Figures"),
        ("sub-01_task-life02_run-1", "Life (BBC)"),
        ("lifeofpi", None),
        ("sub-UTS03_ses-2_task-souls", "The Moth stories of Lebel et al. 2023"),
        ("wheretheressmoke", "The Moth stories of Lebel et al. 2023"),
        ("sub-01_task-lpp_run-2", None),
        ("pieman", None),
    ],
)
def test_the_released_checkpoints_stimuli_are_known_by_their_names(name, wanted):
    known = training_stimuli("tribe-toy", "cc-by-nc-4.0")
    assert known is not None
    found = checkpoint_leaks(Shown("x", (0, 100), names=(name,)), known)
    assert [leak.training for leak in found] == ([wanted] if wanted else [])
