"""Evaluation on Spark without collecting scores: every task tallies its rows, Spark adds the tallies up.

One pass over all findings. The driver receives one row per bin that holds something, however many radiographs there
are. What a tally is, and how exact, is in `metrics.tally`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from radspark.engine.slots import is_elastic
from radspark.errors import DataError
from radspark.frames.described import described
from radspark.frames.session import count_slots
from radspark.labels import LabelSet
from radspark.metrics.scored import DEFAULT_THRESHOLD
from radspark.metrics.tally import TalliedEvaluation, Tally

_TASKS_PER_SLOT = 4
_ROWS_AT_ONCE = 16_384
_ENTRIES = "finding int, slot int, amount double"
_ROWS = -1
"""Stands for a finding where the number of rows is told."""


def evaluate_at_scale(
    scored: DataFrame,
    label_set: LabelSet,
    *,
    label_col: str = "labels",
    probability_col: str = "probability",
    thresholds: Mapping[str, float] | None = None,
) -> TalliedEvaluation:
    """Evaluate scored radiographs, however many; rows without a probability are left out.

    Raises:
        DataError: no row has a probability, or rows have other numbers of findings than the label set.
    """
    chosen = tuple(float((thresholds or {}).get(name, DEFAULT_THRESHOLD)) for name in label_set)
    task = partial(tally_batches, thresholds=chosen)
    readable = scored.select(F.col(label_col).alias("labels"), F.col(probability_col).alias("scores")).where(
        "scores is not null"
    )
    entries = (
        in_few_tasks(readable)
        .mapInArrow(task, _ENTRIES)
        .groupBy("finding", "slot")
        .agg(F.sum("amount").alias("amount"))
    )
    with described(scored.sparkSession, "radspark: tallying scores to evaluate the model"):
        findings, places, amounts = (column.to_numpy() for column in entries.toArrow().columns)
    tally = Tally.empty(len(label_set), thresholds=chosen)
    rows = findings == _ROWS
    tally.num_samples = int(amounts[rows].sum())
    if not tally.num_samples:
        raise DataError("none of the radiographs to evaluate on has a probability; check the split and the images.")
    tally.slots_CS[findings[~rows], places[~rows]] = amounts[~rows]
    return tally.evaluate(label_set)


def in_few_tasks(rows: DataFrame) -> DataFrame:
    """Rows in a few parts for each task slot, where Spark's slots are known and stay as many.

    A task emits every bin that it met, however few rows it had: with many small ones Spark would sort more than there
    was to begin with. But what scores the rows may be part of the same tasks, so executors that come by themselves
    must find some left.
    """
    slots = count_slots(rows.sparkSession)
    return rows.coalesce(slots * _TASKS_PER_SLOT) if slots and not is_elastic(rows.sparkSession) else rows


def tally_batches(batches: Iterator[pa.RecordBatch], *, thresholds: tuple[float, ...]) -> Iterator[pa.RecordBatch]:
    """Entries `finding, slot, amount` of one partition's rows, for `mapInArrow`."""
    tally = Tally.empty(len(thresholds), thresholds=thresholds)
    for labels_NC, scores_NC in _gather(batches, len(thresholds)):
        tally.add(labels_NC, scores_NC)
    findings, slots = np.nonzero(tally.slots_CS)
    amounts = np.append(tally.slots_CS[findings, slots], tally.num_samples)
    columns = (np.append(findings, _ROWS).astype(np.int32), np.append(slots, 0).astype(np.int32), amounts)
    yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names=["finding", "slot", "amount"])


def _gather(batches: Iterator[pa.RecordBatch], width: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Labels and scores of some thousands of rows at once: Spark's batches are of 256, for images."""
    held: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for batch in batches:
        held.append((_matrix(batch.column("labels"), width), _matrix(batch.column("scores"), width)))
        if sum(len(labels_NC) for labels_NC, _ in held) >= _ROWS_AT_ONCE:
            yield _join(held)
            held = []
    if held:
        yield _join(held)


def _join(held: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[NDArray[Any], NDArray[Any]]:
    labels, scores = zip(*held, strict=True)
    return np.concatenate(labels), np.concatenate(scores)


def _matrix(column: Any, width: int) -> NDArray[Any]:
    """Rows of numbers, NaN where null; a null row is all NaN."""
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    flat = column.flatten().to_numpy(zero_copy_only=False)
    values_NC = np.full((len(column), width), np.nan, flat.dtype)
    if len(flat) != valid.sum() * width:
        raise DataError(f"labels and probabilities must hold {width} numbers each, one per finding.")
    values_NC[valid] = flat.reshape(-1, width)
    return values_NC
