"""What runs in a Spark task that scores: a bundle's network over Arrow batches, kept for the process's next batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from radspark.bundle import Bundle
from radspark.frames.image_schema import arrow_to_images

_PREDICTORS: dict[str, Any] = {}
"""The predictor of the newest bundle in this process: building one takes a second, and a process runs many tasks."""


def score_batches(
    batches: Iterator[pa.RecordBatch],
    *,
    bundle: Bundle,
    bundle_key: str,
    module_factory: Callable[[], Any] | None,
    image_col: str,
    probability_col: str,
    cores: int,
    score_col: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Append the probabilities (array<float>, null where the image is null) to each batch, for `mapInArrow`.

    Args:
        score_col: where the scores stand before calibration, in front of the probabilities; None for no such column.

    Raises:
        DataError: images that are not 8-bit grey, or not of one size.
        ValueError: images of another size than the bundle's.
    """
    import torch

    from radspark.predict.predictor import Predictor

    torch.set_num_threads(cores)
    if bundle_key not in _PREDICTORS:
        _PREDICTORS.clear()
        _PREDICTORS[bundle_key] = Predictor(bundle, module_factory=module_factory)
    predictor = _PREDICTORS[bundle_key]
    for batch in batches:
        images = batch.column(image_col)
        readable = np.flatnonzero(images.is_valid().to_numpy(zero_copy_only=False))
        pixels_NSS = arrow_to_images(images.take(pa.array(readable))) if len(readable) else None
        scores_NC = np.empty((0, len(bundle.labels)), np.float32) if pixels_NSS is None else predictor.score(pixels_NSS)
        added = {} if score_col is None else {score_col: scores_NC}
        added[probability_col] = predictor.calibrate(scores_NC)
        columns = [_rows(values_NC, readable, len(images)) for values_NC in added.values()]
        yield pa.RecordBatch.from_arrays([*batch.columns, *columns], names=[*batch.schema.names, *added])


def _rows(values_NC: NDArray[np.float32], rows: NDArray[np.int64], num_rows: int) -> pa.Array:
    """A list column with values in some rows and null in the others."""
    values: list[Any] = [None] * num_rows
    for row, value in zip(rows, values_NC, strict=True):
        values[row] = value
    return pa.array(values, pa.list_(pa.float32()))
