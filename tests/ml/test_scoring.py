"""What a Spark task makes of images that a bundle's network cannot take."""

from __future__ import annotations

from functools import partial
from typing import Any

import networks
import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame

from radspark.bundle import Bundle
from radspark.errors import DataError
from radspark.frames.image_schema import images_to_arrow
from radspark.labels import LabelSet
from radspark.ml import XRayModel
from radspark.ml.scoring import score_batches
from radspark.nn.user_module import wrap_user_module
from radspark.predict.predictor import Predictor
from radspark.settings import ModelSettings, PreparationSettings

SIZE = 32


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    network = wrap_user_module(networks.Small, 2, input_size=SIZE, seed=0)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return Bundle(
        ModelSettings(input_size=SIZE),
        PreparationSettings(size=SIZE),
        LabelSet(("a", "b")),
        weights,
        user_module="Small",
    )


def images(*, num: int = 4, size: int = SIZE, missing: tuple[int, ...] = ()) -> pa.StructArray:
    pixels_NSS = np.random.default_rng(0).integers(0, 256, (num, size, size), dtype=np.uint8)
    return images_to_arrow(pixels_NSS, pa.array([""] * num), np.isin(np.arange(num), missing))


def score(bundle: Bundle, column: pa.Array) -> pa.RecordBatch:
    run = partial(score_batches, bundle=bundle, bundle_key="test", module_factory=networks.Small, cores=1)
    batch = pa.RecordBatch.from_arrays([column], names=["image"])
    (scored,) = run(iter([batch]), image_col="image", probability_col="p")
    return scored


def test_scores_are_the_predictors_and_null_where_the_image_is(bundle: Bundle) -> None:
    column = images(missing=(1,))
    pixels_NSS = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE), dtype=np.uint8)
    expected_NC = Predictor(bundle, module_factory=networks.Small).predict(pixels_NSS[[0, 2, 3]])
    found = score(bundle, column).column("p").to_pylist()
    assert found[1] is None
    np.testing.assert_array_equal(np.array([found[i] for i in (0, 2, 3)], np.float32), expected_NC)


def test_large_types_of_arrow_are_read_too(bundle: Bundle) -> None:
    column = images()
    data = pa.field("data", pa.large_binary(), nullable=False)
    wide = column.cast(pa.struct([*[field for field in column.type if field.name != "data"], data]))
    assert score(bundle, wide).column("p").equals(score(bundle, column).column("p"))


def test_images_of_another_size_are_named(bundle: Bundle) -> None:
    with pytest.raises(
        ValueError, match=r"images must be \(N, 32, 32\), got \(4, 16, 16\); prepare them as the bundle"
    ):
        score(bundle, images(size=16))


def test_color_images_are_refused(bundle: Bundle) -> None:
    rows: list[dict[str, Any]] = images(num=1).to_pylist()
    color = pa.array([{**rows[0], "nChannels": 3, "mode": 16}], images().type)
    with pytest.raises(DataError, match="images must be 8-bit grey"):
        score(bundle, color)


@pytest.mark.spark
def test_a_probability_column_that_is_there_is_not_written_over(bundle: Bundle, samples: DataFrame) -> None:
    model = XRayModel(bundle, moduleFactory=networks.Small)
    with pytest.raises(ValueError, match="the DataFrame has 'probability' already; drop it, or set another name"):
        model.transform(model.transform(samples))
