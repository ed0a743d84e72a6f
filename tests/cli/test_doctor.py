"""``tribetune doctor``."""

import json
import shutil
from collections import namedtuple

from tribetune.cli import doctor


def test_every_check_says_what_it_found_and_a_problem_says_how_to_mend_it(tribetune):
    result = tribetune("doctor", "--json")
    found = json.loads(result.stdout)
    assert len(found) == len(doctor.CHECKS) >= 9
    for finding in found:
        assert finding["thing"]
        assert finding["found"]
        assert finding["state"] in {"ok", "note", "problem"}
        if finding["state"] == "problem":
            assert finding["mend"]
    assert result.exit_code == (2 if any(finding["state"] == "problem" for finding in found) else 0)


def test_a_nearly_full_disk_is_a_problem_and_exit_2(tribetune, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 10**8))
    result = tribetune("doctor")
    assert result.exit_code == 2
    assert "0.1 GB free here" in result.stdout
    assert "disk: free some" in result.stdout


def test_a_data_folder_that_is_not_there_is_a_problem_and_an_unset_one_is_not(monkeypatch, tmp_path):
    monkeypatch.setenv("TRIBETUNE_DATA", str(tmp_path / "no"))
    assert doctor.check_data().state == "problem"
    monkeypatch.setenv("TRIBETUNE_DATA", str(tmp_path))
    assert doctor.check_data().state == "ok"
    monkeypatch.delenv("TRIBETUNE_DATA")
    assert doctor.check_data().state == "note"


def test_torchvision_is_absent_here():
    assert doctor.check_torchvision().state == "ok"


def test_a_broken_torchvision_is_a_problem(tmp_path, monkeypatch):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    finding = doctor.check_torchvision()
    assert finding.state == "problem"
    assert "uninstall torchvision" in finding.mend
