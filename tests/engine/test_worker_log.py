"""Log lines of workers: with round and rank, on stderr, and only while the round lasts."""

from __future__ import annotations

import logging

import pytest

from radspark.engine.worker_log import worker_log


def test_a_line_says_the_round_and_who_wrote_it(capsys: pytest.CaptureFixture[str]) -> None:
    with worker_log("radspark round 3", "rank 1"):
        logging.getLogger("radspark.training.step").info("done")
    assert capsys.readouterr().err.strip().endswith("INFO radspark round 3, rank 1: done")


def test_nothing_stays_behind_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    own = logging.getLogger("radspark")
    before = (own.level, list(own.handlers))
    with pytest.raises(ValueError, match="broken"), worker_log("radspark round 1", "rank 0"):
        raise ValueError("broken")
    assert (own.level, own.handlers) == before
