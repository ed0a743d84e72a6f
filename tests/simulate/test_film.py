from itertools import pairwise

import av
import numpy as np
import pytest

from tribetune.simulate.film import plan_scenes, render
from tribetune.simulate.language import tell
from tribetune.simulate.properties import PROPERTIES, measure_picture
from tribetune.simulate.sound import synthesize

STORY = tell(5, 1, 120.0)
"""The story of the cohort's film."""


@pytest.fixture(scope="module")
def film(cohort):
    with np.load(cohort / "truth" / "film-01.npz") as stored:
        return dict(zip(PROPERTIES, stored["properties"].T, strict=True))


def test_the_film_has_picture_and_sound_of_the_same_length(cohort):
    with av.open(str(cohort / "stimuli" / "film-01.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, float(video.average_rate)) == (160, 120, 12.5)
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video)]
        container.seek(0)
        samples = sum(frame.samples for frame in container.decode(audio))
    assert len(frames) == 1500
    assert samples / audio.rate == pytest.approx(120, abs=1024 / 16000)  # a whole number of AAC blocks


def test_what_was_measured_is_what_the_file_shows(cohort, film):
    with av.open(str(cohort / "stimuli" / "film-01.mp4")) as container:
        light = [frame.to_ndarray()[:120, :80].mean() / 255 for frame in container.decode(video=0)]
    assert np.corrcoef(light, film["luminance_left"])[0, 1] > 0.99  # lossy coding


def test_a_scene_that_moves_to_the_left_half_moves_there():
    luma = np.full((20, 120, 160), 100, np.uint8)
    for t in range(20):
        luma[t, 40:80, t : t + 30] = 200
    measures = measure_picture(luma, np.zeros((20, 3), np.float32)).measures
    left, right = measures[:, 4].mean(), measures[:, 5].mean()
    assert left > 0.1
    assert right == 0


def test_cuts_are_where_the_picture_jumps():
    scenes = plan_scenes(3, 1, STORY)
    assert scenes[0].start == 0
    assert scenes[-1].stop == 1500
    assert all(a.stop == b.start for a, b in pairwise(scenes))
    assert 2.0 < 120 / len(scenes) < 8.0  # seconds per scene, about 4 on average


def test_a_speaking_face_moves_its_mouth():
    scene = next(s for s in plan_scenes(3, 1, STORY) if any(a.kind == "face" for a in s.actors))
    n = scene.stop - scene.start
    quiet, _ = render(scene, 3, np.zeros(n, bool))
    speaking, area = render(scene, 3, np.ones(n, bool))
    assert (quiet != speaking).any()
    assert (area[:, 0] > 0).all()


def test_words_do_not_overlap_and_come_at_the_pace_of_speech():
    onsets = np.array([word.onset_s for word in STORY.words])
    ends = onsets + [word.duration_s for word in STORY.words]
    assert (onsets[1:] >= ends[:-1] - 1e-3).all()  # times are rounded to a millisecond
    assert ends[-1] <= STORY.duration_s
    spoken = sum(sentence.offset_s - sentence.onset_s for sentence in STORY.sentences)
    assert 2.0 < len(onsets) / spoken < 3.5


def test_every_word_stands_in_its_sentence_where_it_says():
    assert len(STORY.words) > 100
    for word in STORY.words:
        assert word.sentence[word.sentence_char :].startswith(word.text)


def test_sound_is_loud_where_words_are_spoken_and_its_pitch_is_the_speakers():
    sound = synthesize(4, 1, STORY)
    spoken = sound.pitch_hz > 0
    assert sound.voice[spoken].mean() > 10 * sound.voice[~spoken].mean()
    assert 70 < sound.pitch_hz[spoken].min() < sound.pitch_hz.max() < 500
    assert np.abs(sound.samples).max() <= 1
    word = max(STORY.words, key=lambda w: w.duration_s)
    piece = sound.samples[int(word.onset_s * 16000) : int((word.onset_s + word.duration_s) * 16000)]
    assert piece.std() > 0.01


def test_context_follows_meaning_slowly(film):
    meaning, context = film["means_people"], film["context_people"]
    assert context.mean() == pytest.approx(meaning.mean(), rel=0.5)  # what leaks out at the end is missing
    assert np.abs(np.diff(context)).max() < 0.02 * max(meaning.max(), 1)
    assert np.argmax(np.correlate(context - context.mean(), meaning - meaning.mean(), "full")) > len(meaning) - 1
