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
        matched: label table with `path`, or with `image` where it is decoded.
    """
    has_finding = F.array_contains("labels", F.lit(1.0))
    drawn = (
        matched.where(F.col("split") == split).orderBy(has_finding.desc(), F.xxhash64("image_id")).limit(NUM_EXAMPLES)
    )
    if "image" not in matched.columns:
        rows = drawn.select("path", "labels").collect()
        if not rows:
            return []
        table = matched.sparkSession.createDataFrame(rows, "path string, labels array<float>")
        drawn = read_images(matched.sparkSession, table, settings=bundle.preparation).where("error is null")
    found = drawn.select("labels", "image").toArrow()
    if not found.num_rows:
        return []
    images_NSS = arrow_to_images(found["image"])
    probabilities_NC = Predictor(bundle).predict(images_NSS)
    return [
        _example(pixels, labels, probabilities, bundle)
        for labels, pixels, probabilities in zip(found["labels"].to_pylist(), images_NSS, probabilities_NC, strict=True)
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
