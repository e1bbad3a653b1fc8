"""What runs in a Spark task that scores: a bundle's network over Arrow batches, kept for the process's next batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

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
) -> Iterator[pa.RecordBatch]:
    """Append the probabilities (array<float>, null where the image is null) to each batch, for `mapInArrow`.

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
        values: list[Any] = [None] * len(images)
        if len(readable):
            pixels_NSS = arrow_to_images(images.take(pa.array(readable)))
            for row, probabilities in zip(readable, predictor.predict(pixels_NSS), strict=True):
                values[row] = probabilities
        column = pa.array(values, pa.list_(pa.float32()))
        yield pa.RecordBatch.from_arrays([*batch.columns, column], names=[*batch.schema.names, probability_col])
