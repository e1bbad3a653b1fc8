"""The phantom is read by the readers of real radiographs, as it stands."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from radspark.datasets.phantom import PhantomSummary, write_phantom_dataset
from radspark.datasets.phantom.cohort import plan_cohort
from radspark.datasets.phantom.render import render
from radspark.images.prepare import read_radiograph
from radspark.labels import NIH_FINDINGS
from radspark.settings import PreparationSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OPTIONS = {"num_images": 20, "seed": 7, "dicom_share": 0.3}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PhantomSummary]:
    out = tmp_path_factory.mktemp("phantom")
    return out, write_phantom_dataset(out, **OPTIONS, size=64, num_workers=1)


def test_png_and_dicom_decode_to_the_drawing(written: tuple[Path, PhantomSummary]) -> None:
    for image in plan_cohort(**OPTIONS, test_share=0.2):
        path = (
            written[0]
            / ("dicom" if image.is_dicom else "images")
            / f"{image.stem}.{'dcm' if image.is_dicom else 'png'}"
        )
        read = read_radiograph(path.read_bytes(), PreparationSettings(size=64))
        drawn = np.rint(render(image, seed=7, size=64).grey * 255)
        assert np.abs(read - drawn).max() <= 1


@pytest.mark.spark
def test_the_nih_reader_counts_what_the_summary_says(spark: SparkSession, written: tuple[Path, PhantomSummary]) -> None:
    from radspark.datasets.nih import read_nih_boxes
    from radspark.datasets.reading import Source, read_labels
    from radspark.settings import SplitSettings

    folder, summary = written
    rows = read_labels(spark, Source("nih", folder), split=SplitSettings(validation_share=0.2)).frame.collect()
    positives = np.asarray([row.labels for row in rows]).sum(axis=0)
    assert dict(zip(NIH_FINDINGS, positives, strict=True)) == summary.num_positives
    splits = Counter(row.split for row in rows)
    assert splits["test"] == summary.num_test
    assert splits["train"] + splits["validation"] == summary.num_train_val
    assert read_nih_boxes(spark, str(folder)).count() == summary.num_boxes
