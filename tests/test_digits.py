import re
from pathlib import Path

import numpy as np
import pytest

from tribetune.cli.cells import score
from tribetune.digits import rounded, signed
from tribetune.evaluate.bootstrap import Estimate
from tribetune.evaluate.table import _outcome


@pytest.mark.parametrize("value", [0.0, -0.0, 4e-4, -4e-4, np.float32(-1e-9)])
def test_what_rounds_to_zero_has_no_sign(value):
    assert rounded(value) == signed(value) == "0.000"
    assert score(float(value)) == score(float(value), "+") == ".000"


def test_what_does_not_keeps_its_own():
    assert [rounded(value) for value in (-0.0006, 0.12345, 1.0)] == ["-0.001", "0.123", "1.000"]
    assert [signed(value) for value in (-0.0006, 0.0006, 1.0)] == ["-0.001", "+0.001", "+1.000"]
    assert signed(-0.0004, 4) == "-0.0004"
    assert signed(-0.00004, 4) == "0.0000"


def test_a_verdict_shows_no_negative_zero():
    found = _outcome(Estimate(-0.0002, (-0.0012, 0.0009), 10), "zero-shot")
    assert found == "does not differ reliably from zero-shot (0.000 mean r, 95 % interval -0.001 to +0.001)"


def test_signs_are_written_in_one_place():
    files = list((Path(__file__).parent.parent / "src").rglob("*.py"))
    assert len(files) > 200
    assert [file.name for file in files if re.search(r":\+[.,\d]*[efg]\}", file.read_text())] == []
