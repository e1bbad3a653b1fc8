"""Samples small enough to train on in seconds, with two findings that can be seen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SIZE = 32
SCHEMA = (
    "image_id string, patient_id string, "
    "image struct<origin:string,height:int,width:int,nChannels:int,mode:int,data:binary>, "
    "labels array<float>, split string, error string"
)
sys.path.insert(0, str(Path(__file__).parent))

import networks  # noqa: E402
from pyspark import cloudpickle  # noqa: E402

# Workers have no such module: its classes travel whole, as those of a notebook do.
cloudpickle.register_pickle_by_value(networks)


def make_rows(num: int, seed: int = 0) -> list[tuple]:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(num):
        labels = rng.integers(0, 2, 2).astype(float).tolist()
        pixels = rng.integers(0, 80, (SIZE, SIZE)).astype(np.uint8)
        pixels[4:12, 4:12] += np.uint8(120 * labels[0])
        pixels[18:28, 18:28] += np.uint8(90 * labels[1])
        image = {"origin": "", "height": SIZE, "width": SIZE, "nChannels": 1, "mode": 0, "data": pixels.tobytes()}
        split = "validation" if i % 5 == 4 else "train"
        rows.append((f"image-{i}", f"patient-{i // 2}", image, labels, split, None))
    return rows


@pytest.fixture(scope="session")
def samples(spark: SparkSession) -> DataFrame:
    """75 images, 60 of them for training; one is unreadable."""
    rows = make_rows(75)
    rows[3] = (*rows[3][:2], None, *rows[3][3:5], "cut off")
    frame = spark.createDataFrame(rows, SCHEMA).repartition(3).persist()
    frame.count()
    return frame
