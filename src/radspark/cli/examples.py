"""A few labelled radiographs with what a model says of them, for a report's sheet of examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from radspark.frames.image_schema import arrow_to_images
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
    images = read_images(matched.sparkSession, list(labels), settings=bundle.preparation).where("error is null")
    table = images.select("path", "image").toArrow()
    if not table.num_rows:
        return []
    images_NSS = arrow_to_images(table["image"])
    probabilities_NC = Predictor(bundle).predict(images_NSS)
    return [
        _example(pixels, labels[path], probabilities, bundle)
        for path, pixels, probabilities in zip(table["path"].to_pylist(), images_NSS, probabilities_NC, strict=True)
        if path in labels
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
