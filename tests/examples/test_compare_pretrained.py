"""examples/compare_pretrained.py: what it concludes from its pairs."""

import runpy

from tests.conftest import ROOT


def test_a_null_result_is_reported_as_one():
    verdict = runpy.run_path(str(ROOT / "examples" / "compare_pretrained.py"))["verdict"]
    assert "no difference beyond two standard errors" in verdict([0.01, -0.01, 0.02, -0.015, 0.0])
    # Mean 0.02 and standard deviation 0.01 of four: a standard error of 0.005.
    said = verdict([0.01, 0.03, 0.02 + 0.5**0.5 / 100, 0.02 - 0.5**0.5 / 100])
    assert "+2.00 points, standard error 0.50, 4 pairs: pre-training helps" in said
    assert "pre-training hurts" in verdict([-0.02, -0.021, -0.019])
