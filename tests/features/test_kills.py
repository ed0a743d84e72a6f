"""A killed extraction is finished by the same command; `make evidence` does this twenty times."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_a_killed_extraction_is_finished_by_the_same_command_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("kills_features", ROOT / "benchmarks" / "kills_features.py")
    assert spec is not None
    assert spec.loader is not None
    kills = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, kills)  # dataclasses look themselves up there
    spec.loader.exec_module(kills)
    outcome = kills.campaign(2, 5, tmp_path)
    assert (outcome.kills, outcome.same) == (2, 2)
    assert outcome.with_parts >= 1
    assert outcome.steps > 10
