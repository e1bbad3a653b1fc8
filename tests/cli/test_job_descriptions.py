"""Spark's own page tells an operator what each job is for. Other jobs are looked at where tests start them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_jobs import undescribed

if TYPE_CHECKING:
    from command_line import Radspark, Trained

pytestmark = pytest.mark.spark


def test_every_job_says_what_it_is_for(trained: Trained, nih_data: Path, tmp_path: Path, radspark: Radspark) -> None:
    bundle = ("--bundle", trained.run / "bundle")
    evaluated = radspark("evaluate", *bundle, "--dataset", "nih", "--data-dir", nih_data, "--out", tmp_path / "test")
    predicted = radspark("predict", *bundle, nih_data / "images", "--out", tmp_path / "scores.csv")
    for outcome in (trained.outcome, evaluated, predicted):
        assert outcome.code == 0, outcome.err
        assert undescribed(outcome.jobs) == []
