"""A few labelled radiographs with what a model says of them, for a report's sheet of examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from radspark.frames.reader import read_images
from radspark.predict.predictor import Predictor
from radspark.report import ExampleRadiograph

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from radspark.bundle import Bundle

NUM_EXAMPLES = 8
NUM_TOP = 3


def pick_examples(matched: DataFrame, bundle: Bundle, *, split: str) -> list[ExampleRadiograph]:
    """Radiographs of a split, drawn by a hash of their id, those with findings first.

    Args:
        matched: label table with `path`, not decoded.
    """
    size = bundle.preparation.size
    has_finding = F.array_contains("labels", F.lit(1.0))
    drawn = (
        matched.where(F.col("split") == split)
        .orderBy(has_finding.desc(), F.xxhash64("image_id"))
        .limit(NUM_EXAMPLES)
        .select("path", "labels")
        .collect()
    )
    labels = {row["path"]: row["labels"] for row in drawn}
    if not labels:
        return []
    rows = read_images(matched.sparkSession, list(labels), settings=bundle.preparation).where("error is null").collect()
    images_NSS = [np.frombuffer(row["image"]["data"], np.uint8).reshape(size, size) for row in rows]
    if not images_NSS:
        return []
    probabilities_NC = Predictor(bundle).predict(np.stack(images_NSS))
    return [
        _example(pixels, labels[row["path"]], probabilities, bundle)
        for row, pixels, probabilities in zip(rows, images_NSS, probabilities_NC, strict=True)
        if row["path"] in labels
    ]


def _example(
    pixels: np.ndarray,
    labels: list[float | None],
    probabilities: np.ndarray,
    bundle: Bundle,
) -> ExampleRadiograph:
    names = bundle.labels.names
    top = np.argsort(-probabilities)[:NUM_TOP]
    return ExampleRadiograph(
        pixels=pixels,
        present=tuple(name for name, value in zip(names, labels, strict=True) if value == 1),
        top=tuple((names[i], float(probabilities[i])) for i in top),
    )
