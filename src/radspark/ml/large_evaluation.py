"""Evaluation on Spark without collecting scores: every task tallies its rows, Spark adds the tallies up.

One pass over all findings. The driver receives one row per bin that holds something, however many radiographs there
are. What a tally is, and how exact, is in `metrics.tally`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from radspark.errors import DataError
from radspark.labels import LabelSet
from radspark.metrics.scored import DEFAULT_THRESHOLD
from radspark.metrics.tally import TalliedEvaluation, Tally

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
    entries = readable.mapInArrow(task, _ENTRIES).groupBy("finding", "slot").agg(F.sum("amount").alias("amount"))
    findings, slots, amounts = (column.to_numpy() for column in entries.toArrow().columns)
    tally = Tally.empty(len(label_set), thresholds=chosen)
    rows = findings == _ROWS
    tally.num_samples = int(amounts[rows].sum())
    if not tally.num_samples:
        raise DataError("none of the radiographs to evaluate on has a probability; check the split and the images.")
    tally.slots_CS[findings[~rows], slots[~rows]] = amounts[~rows]
    return tally.evaluate(label_set)


def tally_batches(batches: Iterator[pa.RecordBatch], *, thresholds: tuple[float, ...]) -> Iterator[pa.RecordBatch]:
    """Entries `finding, slot, amount` of one partition's rows, for `mapInArrow`."""
    tally = Tally.empty(len(thresholds), thresholds=thresholds)
    for batch in batches:
        tally.add(*(_matrix(batch.column(name), len(thresholds)) for name in ("labels", "scores")))
    findings, slots = np.nonzero(tally.slots_CS)
    amounts = np.append(tally.slots_CS[findings, slots], tally.num_samples)
    columns = (np.append(findings, _ROWS).astype(np.int32), np.append(slots, 0).astype(np.int32), amounts)
    yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names=["finding", "slot", "amount"])


def _matrix(column: Any, width: int) -> NDArray[Any]:
    """Rows of numbers, NaN where null; a null row is all NaN."""
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    flat = column.flatten().to_numpy(zero_copy_only=False)
    values_NC = np.full((len(column), width), np.nan, flat.dtype)
    if len(flat) != valid.sum() * width:
        raise DataError(f"labels and probabilities must hold {width} numbers each, one per finding.")
    values_NC[valid] = flat.reshape(-1, width)
    return values_NC
