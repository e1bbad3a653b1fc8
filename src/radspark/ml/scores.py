"""Scored radiographs gathered on the driver as arrays; what the scores are worth is for `metrics` to say.

N radiographs, C findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from radspark.errors import DataError


@dataclass(frozen=True, eq=False)
class GatheredScores:
    """The radiographs that have a probability."""

    rows: Sequence[Any]
    """Spark's rows of the columns that were asked for, labels and probability among them."""
    labels_NC: NDArray[np.float32]
    """1, 0, or NaN for unknown."""
    probabilities_NC: NDArray[np.float32]
    num_unreadable: int
    """Radiographs without a probability, which are in none of the other fields."""


def gather_scores(
    scored: DataFrame, *, label_col: str, probability_col: str, other_cols: Sequence[str] = ()
) -> GatheredScores:
    """Collect labels and probabilities; a null row of labels is all unknown.

    Raises:
        DataError: no row, or none with a probability.
    """
    all_rows = scored.select(*other_cols, label_col, probability_col).collect()
    if not all_rows:
        raise DataError("there is no radiograph to evaluate on; check the split that was asked for.")
    rows = [row for row in all_rows if row[probability_col] is not None]
    if not rows:
        raise DataError(
            f"none of the {len(all_rows)} radiographs to evaluate on can be read; `radspark data check` says why."
        )
    probabilities_NC = np.array([row[probability_col] for row in rows], np.float32)
    unknown = [None] * probabilities_NC.shape[1]
    labels_NC = np.array([unknown if row[label_col] is None else row[label_col] for row in rows], np.float32)
    return GatheredScores(rows, labels_NC, probabilities_NC, len(all_rows) - len(rows))
