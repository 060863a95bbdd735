"""What a section needs that no report shows."""

import numpy as np
import pytest

from digitflow.evaluation import sections
from digitflow.evaluation.corruptions import CORRUPTIONS, SEVERITIES


def test_example_of_the_robustness_picture_may_be_floats_with_a_channel() -> None:
    example = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    rows = [{"corruption": "none", "severity": 0, "n": 5, "accuracy": 1.0}]
    rows += [
        {"corruption": name, "severity": severity, "n": 5, "accuracy": 0.8 if name == "blur" else 1}
        for name in CORRUPTIONS
        for severity in SEVERITIES
    ]
    picture, table = sections.robustness(rows, example)
    for same in (example[..., None] / 255, example.astype(np.int64), example.astype(np.float32)):
        assert sections.robustness(rows, same)[0].png == picture.png
    assert "at severity 5 blur is the worst with 80.0" in picture.explanation
    assert table.rows[1] == {
        "corruption": "blur",
        **{f"severity {severity}": 0.8 for severity in SEVERITIES},
        "mean": pytest.approx(0.8),
    }
