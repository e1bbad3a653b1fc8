"""Mutated files: each one is read or refused, in bounded time and memory, and none takes its process down."""

from __future__ import annotations

import ctypes
import functools
import resource
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from mutants import make_mutant, make_originals

from radspark.frames.batches import prepare_batches, read_schema
from radspark.frames.files import open_files
from radspark.identifiers import Identifiers
from radspark.images import ImageLimits, Reading, read_file
from radspark.images.isolation import Isolation, Lost
from radspark.settings import PreparationSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETTINGS = PreparationSettings(size=16, wrong_kind="flag")
LIMITS = ImageLimits(max_seconds=20, max_memory=2**29)
CRASHING = b"what makes a decoder crash"
UNDECODABLE = ("cannot be decoded", "pixel data is damaged", "grey scale", "the decoder crashed", "decoding took")


class Trial(NamedTuple):
    """How one mutant went."""

    reading: Reading
    seconds: float
    peak_bytes: int


def try_mutant(seed: int) -> Trial:
    data = make_mutant(seed)
    start = time.monotonic()
    reading = read_file(data, SETTINGS, limits=LIMITS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Trial(reading, time.monotonic() - start, peak)


def reached_pixels(error: str | None) -> bool:
    """Whether the file came as far as its decoder of pixels."""
    return error is None or any(words in error for words in UNDECODABLE)


def test_originals_are_read() -> None:
    assert [read_file(data, SETTINGS).error for data in make_originals()] == [None] * len(make_originals())


def test_mutants_are_the_same_for_the_same_seed() -> None:
    assert [make_mutant(seed) for seed in range(40)] == [make_mutant(seed) for seed in range(40)]


def test_hundreds_of_mutants_are_read_or_refused_within_bounds() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    trials = list(Isolation[Trial](LIMITS.max_seconds, LIMITS.max_memory).run(try_mutant, 600))
    lost = [trial for trial in trials if isinstance(trial, Lost)]
    done = [trial for trial in trials if not isinstance(trial, Lost)]
    assert (len(trials), lost) == (600, [])
    assert all((trial.reading.pixels is None) == bool(trial.reading.error) for trial in done)
    assert sum(reached_pixels(trial.reading.error) for trial in done) >= 0.3 * len(done)
    assert max(trial.peak_bytes for trial in done) <= before + LIMITS.max_memory
    assert not any("Secret" in (trial.reading.error or "") for trial in done)


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.timeout(3600)
def test_twenty_thousand_mutants_and_a_crash_are_all_rows_within_bounds(spark: SparkSession, tmp_path: Path) -> None:
    def read_or_crash(content: bytes, settings: PreparationSettings, *, limits: ImageLimits) -> Reading:
        if content == CRASHING:
            ctypes.string_at(0)
        return read_file(content, settings, limits=limits)

    num_files = 20_000
    for seed in range(num_files):
        (tmp_path / f"{seed:05d}.bin").write_bytes(make_mutant(seed))
    (tmp_path / "crash.bin").write_bytes(CRASHING)
    prepare = functools.partial(
        prepare_batches, settings=SETTINGS, limits=LIMITS, identifiers=Identifiers("drop"), read=read_or_crash
    )
    files = open_files(spark, [str(tmp_path)]).select("path", "length", "content")
    images = files.mapInArrow(prepare, read_schema(SETTINGS))
    rows = images.selectExpr("path", "error", "image is null as missing").collect()
    assert len({row.path for row in rows}) == len(rows) == num_files + 1
    assert all(row.missing == (row.error is not None) for row in rows)
    crashed = [row.path.rsplit("/", 1)[1] for row in rows if "the decoder crashed" in (row.error or "")]
    over_bounds = Counter(row.error for row in rows if "decoding took" in (row.error or ""))
    reached = np.mean([reached_pixels(row.error) for row in rows])
    print(f"{reached:.0%} reached the decoder of pixels; {crashed} crashed it; over bounds: {dict(over_bounds)}")  # noqa: T201
    assert "crash.bin" in crashed
    assert not over_bounds
    assert reached >= 0.3
