"""Features that someone else made."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tribetune.errors import FeatureError
from tribetune.features.encoders import MODALITIES, Encoders, Options, encoders
from tribetune.features.extract import extract
from tribetune.features.imports import ImportOptions, import_features
from tribetune.features.pieces import cut_pieces
from tribetune.stimulus.media import probe
from tribetune.stimulus.timeline import Event, Timeline, timeline_of_files
from tribetune.timing import to_step

EXCA = Path(__file__).parents[1] / "golden" / "exca-0.5.25"
"""Cache folders that exca 0.5.25 wrote: default_rng(0).integers(-8, 8, (20, 3, 12)) under the key film.mp4."""

IMPORTED = encoders("imported")


@pytest.fixture
def states() -> np.ndarray:
    """What the caches hold for the film: 20 hidden states, 12 steps."""
    return np.random.default_rng(0).integers(-8, 8, (20, 3, 12)).astype(np.float32)


@pytest.fixture
def layers() -> dict[str, np.ndarray]:
    """Layers of a film of six seconds; those of text are no halves."""
    rng = np.random.default_rng(1)
    return {m: rng.standard_normal((2, 4, 12)).astype(np.float32 if m == "text" else np.float16) for m in MODALITIES}


class Touch:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def released(states: np.ndarray) -> np.ndarray:
    """The two groups of the released configuration among its 20 kept states (spec e.2)."""
    return np.stack([states[9:14].mean(0), states[14:20].mean(0)])


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, allow_pickle=False, **arrays)
    return path


def write_cache(folder: Path, entries: dict[str, np.ndarray], **told: float) -> Path:
    """Write a cache folder as exca does: arrays one after the other in one file, one line of the index for each."""
    folder.mkdir(parents=True)
    lines, offset = [], 0
    with (folder / "arrays.data").open("wb") as file:
        for key, array in entries.items():
            place = {"filename": "arrays.data", "offset": offset, "shape": array.shape, "dtype": str(array.dtype)}
            lines.append(json.dumps({**place, "#type": "MemmapArray", "#key": key, **told}) + "\n")
            offset += file.write(array.tobytes())
    (folder / "host-1-info.jsonl").write_text("".join(lines))
    return folder


def cache(folder: Path, film: Path, store: Path, key: str | None = None) -> np.ndarray:
    import_features([folder], film, None, store, ImportOptions(modality="video", setting="released", key=key))
    found = extract(timeline_of_files([film]), IMPORTED, ["video"], store).arrays["video"]
    return np.asarray(found)[:, :, : to_step(probe(film).duration_s)]


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_what_is_imported_is_found_by_the_films_content(
    suffix: str, film: Path, timeline: Timeline, layers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    file = tmp_path / f"features{suffix}"
    if suffix == ".npz":
        write_npz(file, **layers, duration_s=np.array(6.0))
    else:
        with h5py.File(file, "w") as opened:
            for name, array in layers.items():
                opened[f"film/{name}"] = array
            opened["other/text"] = layers["text"] + 1
    made = import_features([file], film, None, tmp_path / "store")
    assert made == dict.fromkeys(MODALITIES, (2, 4, 12))
    copied = Path(shutil.copy(film, tmp_path / "renamed.mp4"))
    features = extract(timeline_of_files([copied], tmp_path / "words.tsv"), IMPORTED, MODALITIES, tmp_path / "store")
    for modality in MODALITIES:
        whole = np.asarray(features.arrays[modality])
        np.testing.assert_array_equal(whole[:, :, :12], layers[modality])
        assert not whole[:, :, 12:].any()  # the film lasts 6.06 s


def test_imported_features_are_those_that_were_made_bit_for_bit(
    film: Path, timeline: Timeline, tiny: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = extract(timeline, tiny, MODALITIES, tmp_path / "made", "cpu")
    file = write_npz(
        tmp_path / "features.npz", **{m: np.asarray(array, np.float32) for m, array in made.arrays.items()}
    )
    import_features([file], film, None, tmp_path / "store")
    monkeypatch.setattr("tribetune.features.encoders.Encoder.load", None)  # from here on nothing can be made
    read = extract(timeline.shifted(3.7), IMPORTED, MODALITIES, tmp_path / "store")
    for modality in MODALITIES:
        np.testing.assert_array_equal(read.arrays[modality], made.arrays[modality])


def test_a_film_shown_twice_is_placed_twice_and_its_text_needs_no_words(
    film: Path, layers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    import_features([write_npz(tmp_path / "features.npz", **layers)], film, None, tmp_path)
    twice = Timeline((Event("video", 3.0, 6.0, film), Event("video", 14.0, 2.0, film)))
    features = extract(twice, IMPORTED, MODALITIES, tmp_path)
    assert list(features.arrays) == ["text", "video"]  # no sound is played
    text, video = (np.asarray(features.arrays[name]) for name in ("text", "video"))
    np.testing.assert_array_equal(video[:, :, :12], layers["video"])
    assert not video[:, :, 12:22].any()
    np.testing.assert_array_equal(video[:, :, 22:], layers["video"][:, :, :4])
    np.testing.assert_array_equal(text[:, :, :12], layers["text"])


def test_words_alone_are_found_by_the_words_and_their_times(timeline: Timeline, tmp_path: Path) -> None:
    text = np.arange(2 * 3 * 9, dtype=np.float32).reshape(2, 3, 9)
    file = write_npz(tmp_path / "features.npz", text=text)
    import_features([file], None, tmp_path / "words.tsv", tmp_path)
    words = timeline_of_files([], tmp_path / "words.tsv")
    found = extract(words.shifted(0.1), IMPORTED, ["text"], tmp_path)  # sums in floats do not matter
    np.testing.assert_array_equal(found.arrays["text"], text)
    later = (tmp_path / "words.tsv").read_text().replace("1\t0.3", "1.002\t0.3")
    (tmp_path / "words.tsv").write_text(later)
    with pytest.raises(FeatureError, match="words alone: its text was not imported"):
        extract(timeline_of_files([], tmp_path / "words.tsv"), IMPORTED, ["text"], tmp_path)
    with pytest.raises(FeatureError, match="audio of words alone"):
        import_features([write_npz(tmp_path / "a.npz", audio=text)], None, tmp_path / "words.tsv", tmp_path)


def test_what_was_not_imported_is_named_with_the_command(
    film: Path, timeline: Timeline, layers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    import_features([write_npz(tmp_path / "features.npz", audio=layers["audio"])], film, None, tmp_path)
    assert list(extract(timeline_of_files([film]), IMPORTED, ["text", "audio"], tmp_path).arrays) == ["audio"]
    for modality in ("text", "video"):
        with pytest.raises(FeatureError, match=rf"film.mp4: its {modality} was not imported") as told:
            extract(timeline, IMPORTED, [modality], tmp_path)
        assert f"tribetune features import FILE --stimulus film.mp4 --modality {modality}" in told.value.hint
    with pytest.raises(FeatureError, match="imported features have no encoder"):
        IMPORTED["audio"]


def test_a_word_outside_of_the_imported_text_is_refused(
    film: Path, layers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    import_features([write_npz(tmp_path / "features.npz", text=layers["text"])], film, None, tmp_path)
    late = Timeline((Event("video", 0.0, 6.0, film), Event("word", 8.0, 0.3, text="late")))
    with pytest.raises(FeatureError, match="'late' at 8 s lies outside"):
        extract(late, IMPORTED, ["text"], tmp_path)


def test_a_second_import_must_bring_the_same(film: Path, layers: dict[str, np.ndarray], tmp_path: Path) -> None:
    file = write_npz(tmp_path / "features.npz", **layers)
    import_features([file], film, None, tmp_path)
    import_features([file], film, None, tmp_path)
    other = write_npz(tmp_path / "other.npz", text=layers["text"] + 1)
    with pytest.raises(FeatureError, match="other imported text for film"):
        import_features([other], film, None, tmp_path)
    with pytest.raises(FeatureError, match="both hold text"):
        import_features([file, other], film, None, tmp_path)


@pytest.mark.parametrize(("n_steps", "is_taken"), [(10, False), (11, True), (13, True), (14, False)])
def test_a_step_more_or_less_is_rounding(n_steps: int, is_taken: bool, film: Path, tmp_path: Path) -> None:
    array = np.ones((2, 3, n_steps), np.float32)
    file = write_npz(tmp_path / "features.npz", audio=array)
    if not is_taken:
        with pytest.raises(FeatureError, match=rf"{n_steps} steps, expected 12 \(or one more or less\)"):
            import_features([file], film, None, tmp_path)
        return
    import_features([file], film, None, tmp_path)
    found = extract(timeline_of_files([film]), IMPORTED, ["audio"], tmp_path).arrays["audio"]
    assert np.asarray(found)[0, 0].tolist() == [1] * min(n_steps, 12) + [0] * (13 - min(n_steps, 12))


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.ones((2, 12)), r"shape \(2, 12\), expected numbers of \(layer, dim, time\)"),
        (np.full((2, 3, 12), np.nan), "72 values are not finite"),
        (np.ones((12, 2, 4)), "12 layers, expected at most 4"),
        (np.full((2, 3, 12), "a"), "expected numbers"),
        (np.ones((2, 0, 12)), "expected numbers"),
    ],
)
def test_an_array_that_cannot_be_features_is_refused(array: np.ndarray, match: str, film: Path, tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match=match):
        import_features([write_npz(tmp_path / "features.npz", text=array)], film, None, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_what_cannot_be_read_is_refused_and_nothing_is_unpickled(film: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    np.savez(tmp_path / "objects.npz", allow_pickle=True, text=np.array([Touch(touched)], object))
    for name in ("broken.npz", "broken.h5", "film.txt", "empty.npz"):
        (tmp_path / name).write_bytes(b"" if name == "empty.npz" else b"nothing of the kind")
    for name in ("objects.npz", "broken.npz", "broken.h5", "film.txt", "empty.npz", "absent.npz"):
        with pytest.raises(FeatureError, match=name):
            import_features([tmp_path / name], film, None, tmp_path)
    with pytest.raises(FeatureError, match=r"no text or audio or video, got words"):
        import_features([write_npz(tmp_path / "w.npz", words=np.ones(3))], film, None, tmp_path)
    assert not touched.exists()


def test_another_rate_is_refused_not_resampled(film: Path, layers: dict[str, np.ndarray], tmp_path: Path) -> None:
    file = write_npz(tmp_path / "features.npz", **layers)
    with pytest.raises(FeatureError, match="at 1 Hz, expected 2 Hz"):
        import_features([file], film, None, tmp_path, ImportOptions(hz=1))


def test_hidden_states_become_the_layers_of_a_setting(film: Path, states: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "states.npy", states)
    for setting, expected in (("released", released(states)), ("mini", states[12:13]), ("all", states)):
        options = ImportOptions(modality="text", setting=setting)
        import_features([tmp_path / "states.npy"], film, None, tmp_path / setting, options)
        found = extract(timeline_of_files([film]), IMPORTED, ["text"], tmp_path / setting).arrays["text"]
        np.testing.assert_array_equal(np.asarray(found)[:, :, :12], expected)
    with pytest.raises(FeatureError, match="does not say which modality"):
        import_features([tmp_path / "states.npy"], film, None, tmp_path)
    file = write_npz(tmp_path / "layers.npz", text=states[:2])
    with pytest.raises(FeatureError, match="2 hidden states cannot be grouped as released"):
        import_features([file], film, None, tmp_path, ImportOptions(setting="released"))


@pytest.mark.parametrize("kind", ["memmap", "npy", "tree"])
def test_a_cache_that_exca_wrote_is_read(kind: str, film: Path, states: np.ndarray, tmp_path: Path) -> None:
    np.testing.assert_array_equal(cache(EXCA / kind, film, tmp_path), released(states))
    (index,) = (EXCA / kind).glob("*-info.jsonl")
    np.testing.assert_array_equal(cache(index, film, tmp_path), released(states))


def test_an_index_with_a_header_or_a_line_that_is_being_written_is_read(
    film: Path, states: np.ndarray, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(EXCA / "npy", tmp_path / "cache"))
    line = json.loads((folder / "host-1-info.jsonl").read_text())
    header = 'metadata={"cache_type":"NumpyArray"}\n'
    (folder / "host-1-info.jsonl").write_text(header + json.dumps({**line, "#type": None}) + '\n{"filename":"da')
    np.testing.assert_array_equal(cache(folder, film, tmp_path), released(states))


def test_a_cache_at_another_rate_or_without_the_film_is_refused(film: Path, tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="'at 50 Hz' is at 50 Hz, expected 2 Hz"):
        cache(EXCA / "tree", film, tmp_path, key="at 50")
    renamed = Path(shutil.copy(film, tmp_path / "renamed.mp4"))
    with pytest.raises(FeatureError, match=r"no key of the cache contains 'renamed.mp4'; it has 2: 'film.mp4'"):
        cache(EXCA / "memmap", renamed, tmp_path)
    assert cache(EXCA / "memmap", renamed, tmp_path, key="film").shape == (2, 3, 12)
    with pytest.raises(FeatureError, match=r"shape \(20, 3, 5\), expected \(20, 3, 12\)"):
        cache(EXCA / "memmap", film, tmp_path / "store", key="other")
    with pytest.raises(FeatureError, match="expected a cache folder") as told:
        cache(EXCA, film, tmp_path)
    assert told.value.hint == f"give {EXCA / 'memmap'}"


@pytest.mark.parametrize(
    "told",
    [
        {"filename": "film.pkl", "#type": "Pickle"},
        {"filename": "../outside.npy", "#type": "NumpyArray"},
        {"filename": "a.data", "offset": 8, "shape": [20, 3, 12], "dtype": "float32", "#type": "MemmapArray"},
        {"filename": "a.data", "offset": 0, "shape": [20, 3, 12], "dtype": "object", "#type": "MemmapArray"},
        {"filename": "objects.npy", "#type": "NumpyArray"},
        {"filename": "absent.npy", "#type": "NumpyArray"},
    ],
)
def test_a_cache_that_is_pickled_damaged_or_points_elsewhere_is_refused(
    told: dict[str, object], film: Path, states: np.ndarray, tmp_path: Path
) -> None:
    folder, touched = tmp_path / "cache", tmp_path / "touched"
    folder.mkdir()
    (folder / "film.pkl").write_bytes(pickle.dumps(Touch(touched)))
    (folder / "a.data").write_bytes(states.tobytes())
    np.save(folder / "objects.npy", np.array([Touch(touched)], object), allow_pickle=True)
    np.save(tmp_path / "outside.npy", states)
    (folder / "host-1-info.jsonl").write_text(json.dumps({**told, "#key": "film.mp4"}) + "\n")
    with pytest.raises(FeatureError, match=r"entry 'film.mp4': (0 plain arrays|cannot be read)"):
        cache(folder, film, tmp_path / "store")
    assert not touched.exists()
    (folder / "host-1-info.jsonl").write_text("no index\n")
    with pytest.raises(FeatureError, match="is no index of a cache"):
        cache(folder, film, tmp_path / "store")


def test_the_stretches_of_a_long_film_are_joined_in_order(write_film: Callable[..., Path], tmp_path: Path) -> None:
    film = write_film(tmp_path / "long.mp4", np.zeros((100, 32, 32, 3), np.uint8), fps=1)  # 60 + 40 s
    whole = np.random.default_rng(0).integers(-8, 8, (20, 3, 200)).astype(np.float32)
    first, second = whole[:, :, :120], whole[:, :, 120:]
    by_key = {"long.mp4 offset=60.0 duration=40.0": second, "long.mp4 offset=0.0 duration=60.0": first}
    folder = write_cache(tmp_path / "keys", by_key)
    np.testing.assert_array_equal(cache(folder, film, tmp_path / "a"), released(whole))
    # a stretch that is a step too long does not move the next one
    folder = write_cache(tmp_path / "long", {**by_key, "long.mp4 offset=0.0 duration=60.0": whole[:, :, :121]})
    np.testing.assert_array_equal(cache(folder, film, tmp_path / "b"), released(whole))
    folder = write_cache(tmp_path / "unknown", {"long.mp4 b": first, "long.mp4 a": second[:, :, :]})
    with pytest.raises(FeatureError, match="the order of 2 entries of the cache is unknown"):
        cache(folder, film, tmp_path / "c")
    folder = write_cache(tmp_path / "lacking", {"long.mp4 offset=0.0": first})
    with pytest.raises(FeatureError, match="1 entries of the cache belong to the stimulus, expected 2"):
        cache(folder, film, tmp_path / "c")
    told = write_cache(tmp_path / "told", {"long.mp4 b": second}, start=160.0)
    shutil.move(write_cache(tmp_path / "x", {"long.mp4 a": first}, start=100.0) / "arrays.data", told / "first.data")
    line = (tmp_path / "x" / "host-1-info.jsonl").read_text().replace("arrays.data", "first.data")
    (told / "host-2-info.jsonl").write_text(line)
    np.testing.assert_array_equal(cache(told, film, tmp_path / "d"), released(whole))


def test_a_cache_of_words_is_looked_up_by_the_text_before_each(
    film: Path, timeline: Timeline, tiny: Encoders, tmp_path: Path
) -> None:
    all_states = encoders(str(tiny["text"].folder.parent), Options(setting="all"))
    words = Timeline(timeline.of_kind("word"))
    expected = extract(timeline, tiny, ["text"], tmp_path / "made", "cpu").arrays["text"]
    from tribetune.features.encoders import pick_device
    from tribetune.features.text import encode_words

    vectors = np.concatenate(list(encode_words(words.events, all_states["text"], pick_device("cpu"))))
    pieces = cut_pieces(words.events)
    keys = ["".join(p.head + p.tail for p in pieces[:k]) + piece.head for k, piece in enumerate(pieces)]
    assert keys[:2] == ["the", "the queen"]
    folder = write_cache(tmp_path / "cache", dict(zip(keys, vectors, strict=True)))
    options = ImportOptions(modality="text", setting="released")
    import_features([folder], film, tmp_path / "words.tsv", tmp_path / "store", options)
    found = extract(timeline, IMPORTED, ["text"], tmp_path / "store").arrays["text"]
    # float16 in the store of what was made, float32 here
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())
    with pytest.raises(FeatureError, match="no words are known"):
        import_features([folder], film, None, tmp_path / "store", options)
    folder = write_cache(tmp_path / "fewer", dict(zip(keys[1:], vectors[1:], strict=True)))
    with pytest.raises(FeatureError, match="1 of 5 words are not in the cache, first 'the'"):
        import_features([folder], film, tmp_path / "words.tsv", tmp_path / "store", options)
