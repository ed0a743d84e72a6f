"""A plain folder or any URL as a lab's own hub."""

import fsspec
import pytest

from tribetune.errors import AdaptationError
from tribetune.share.bundle import BUNDLE, load_adapter
from tribetune.share.catalogue import in_place
from tribetune.share.folders import list_folder, pull_folder, push_folder
from tribetune.share.hub import Terms, find_adapter, open_adapter, pull, push

TERMS = Terms("project", "cc-by-nc-4.0")


@pytest.fixture(params=["folder", "file", "memory"])
def place(request, tmp_path, monkeypatch):
    """A lab's own place; the memory of fsspec stands for stores that are not on this machine."""
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    lab = {"folder": str(tmp_path / "lab"), "file": f"file://{tmp_path}/lab", "memory": f"memory://{tmp_path.name}/lab"}
    return f"{lab[request.param]}/sub-01"


def test_push_pull_round_trip_is_bitwise_in_any_place(bundle, place, trained):
    revision = push(bundle, place, TERMS, lambda _: True)
    folder = pull(place)
    assert folder == pull(f"{place}@{revision}")
    assert (folder / "adapter_model.safetensors").read_bytes() == (bundle / "adapter_model.safetensors").read_bytes()
    assert open_adapter(place).tensors.keys() == trained.tensors.keys()


def test_a_newer_revision_is_found_and_the_older_one_stays(bundle, place):
    first = push(bundle, place, TERMS, lambda _: True)
    second = push(bundle, place, Terms("research", "cc-by-nc-4.0"), lambda _: True)
    assert first != second
    assert push(bundle, place, TERMS, lambda _: True) == first  # the content names it
    assert "researchers" in (find_adapter(f"{place}@{second}") / "README.md").read_text()
    assert "researchers" not in (find_adapter(place) / "README.md").read_text()


def test_an_interrupted_push_leaves_nothing_to_find_and_goes_on(bundle, place, monkeypatch):
    files = {name: bundle / name for name in BUNDLE if (bundle / name).is_file()}
    system, _ = fsspec.url_to_fs(place)
    sent, put = [], type(system).put_file

    def breaking(self, source, target, **options):
        sent.append(target)
        if len(sent) == 3:
            raise OSError("the line broke")
        return put(self, source, target, **options)

    monkeypatch.setattr(type(system), "put_file", breaking)
    with pytest.raises(AdaptationError, match="the line broke"):
        push_folder(place, files)
    with pytest.raises(AdaptationError, match="holds no adapter"):
        pull_folder(place)
    push_folder(place, files)
    assert len(sent) == 3 + len(files) - 2  # two were there
    load_adapter(pull_folder(place))


def test_places_are_listed_and_what_is_faulty_says_why(bundle, place):
    push(bundle, place, TERMS, lambda _: True)
    lab = place.rpartition("/")[0]
    (entry,) = in_place(lab)
    assert entry.name.endswith("lab/sub-01")
    assert (entry.base, entry.licence) == ("tiny-tribe", "cc-by-nc-4.0")
    system, root = fsspec.url_to_fs(place)
    system.pipe_file(f"{root}/latest", b"../../secret")
    (entry,) = in_place(lab)
    assert "is no revision" in entry.about
    assert list_folder(place) == [entry.name]


def test_a_copy_that_was_exchanged_on_the_way_is_refused(bundle, place):
    revision = push(bundle, place, TERMS, lambda _: True)
    system, root = fsspec.url_to_fs(place)
    weights = f"{root}/{revision}/adapter_model.safetensors"
    data = bytearray(system.cat_file(weights))
    data[-1] ^= 1
    system.pipe_file(weights, bytes(data))
    with pytest.raises(AdaptationError, match="its hash is not the one"):
        pull(place)


@pytest.mark.parametrize(
    ("where", "said"),
    [("nowhere://lab/a", "Protocol not known"), ("/no/such/place", "holds no adapter"), ("no-such-place", "holds no")],
)
def test_a_place_that_is_none_is_told(where, said):
    with pytest.raises(AdaptationError, match=said):
        pull(where)


def test_the_folder_of_a_run_is_told_apart_from_its_adapter(bundle):
    with pytest.raises(AdaptationError, match="holds no adapter") as caught:
        pull(str(bundle.parent))
    assert caught.value.hint == f"this is a run; its adapter is {bundle}"


def test_a_bundle_itself_is_a_place_and_a_hostile_name_in_a_store_is_refused(bundle, place, tmp_path):
    assert find_adapter(bundle) == bundle
    revision = push(bundle, place, TERMS, lambda _: True)
    system, root = fsspec.url_to_fs(place)
    system.pipe_file(f"{root}/{revision}/optimizer.pt", b"x")
    with pytest.raises(AdaptationError, match=r"optimizer\.pt could run code"):
        pull(place)


def test_a_place_that_is_not_there_is_told_in_words(tmp_path):
    for read in (list_folder, pull_folder):
        with pytest.raises(AdaptationError) as refused:
            read(str(tmp_path / "gone"))
        assert "Errno" not in str(refused.value)
    with pytest.raises(AdaptationError, match="gone is not there"):
        list_folder(str(tmp_path / "gone"))
