"""A model and the samples it is given must be prepared alike, and split alike."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import networks
import pytest
from pyspark.sql import functions as F

from radspark.bundle import Bundle
from radspark.frames.column_settings import settings_metadata
from radspark.labels import LabelSet
from radspark.ml import XRayClassifier, XRayModel
from radspark.nn.user_module import wrap_user_module
from radspark.samples.origin import mark_origin
from radspark.settings import (
    Constant,
    DataSettings,
    ModelSettings,
    PreparationSettings,
    Recipe,
    SplitSettings,
    TrainingSettings,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

pytestmark = pytest.mark.spark

PADDED = PreparationSettings(size=32, aspect="pad", grey_range="own_range")
BY_PATIENT = DataSettings("nih", SplitSettings("patient", seed=3))
RECIPE = Recipe(
    model=ModelSettings(input_size=32),
    schedule=(Constant(),),
    training=TrainingSettings(epochs=1, batch_size=64, keep="last"),
)


def told(samples: DataFrame, preparation: PreparationSettings) -> DataFrame:
    return samples.withColumn("image", F.col("image").alias("image", metadata=settings_metadata(preparation)))


def fit(samples: DataFrame, **params: Any) -> XRayModel:
    defaults = {"recipe": RECIPE, "findings": ["upper", "lower"], "moduleFactory": networks.Small, "numWorkers": 1}
    return XRayClassifier(**{**defaults, **params}).fit(samples)


def model(preparation: PreparationSettings, data: DataSettings | None = None) -> XRayModel:
    network = wrap_user_module(networks.Small, 2, input_size=32, seed=0)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    bundle = Bundle(ModelSettings(input_size=32), preparation, LabelSet(("upper", "lower")), weights, "Small", data)
    return XRayModel(bundle, moduleFactory=networks.Small)


def test_the_bundle_holds_how_its_images_were_prepared_and_split(samples: DataFrame) -> None:
    bundle = fit(mark_origin(told(samples, PADDED), BY_PATIENT)).bundle
    assert bundle.preparation == PADDED
    assert bundle.data == BY_PATIENT


def test_images_that_do_not_tell_are_taken_as_the_recipe_has_it(samples: DataFrame) -> None:
    asked = replace(RECIPE, preparation=replace(PADDED, size=64))
    bundle = fit(samples, recipe=asked).bundle
    assert bundle.preparation == PADDED
    assert bundle.data is None


def test_a_recipe_that_asks_for_another_preparation_is_refused(samples: DataFrame) -> None:
    asked = replace(RECIPE, preparation=PreparationSettings(size=32, aspect="pad"))
    with pytest.raises(ValueError, match="grey_range is 'auto' in the recipe, 'own_range' in the images; read them by"):
        fit(told(samples, PADDED), recipe=asked)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"aspect": "stretch"}, "aspect is 'pad' in the bundle, 'stretch' in the images"),
        ({"size": 48}, "size is 32 in the bundle, 48 in the images"),
    ],
)
def test_images_prepared_otherwise_than_in_training_are_refused(
    samples: DataFrame, change: dict[str, Any], said: str
) -> None:
    images = told(samples, replace(PADDED, **change))
    with pytest.raises(ValueError, match=said):
        model(PADDED).transform(images)
    with pytest.raises(ValueError, match=said):
        model(PADDED).evaluate(images)


def test_images_prepared_alike_or_untold_are_scored(samples: DataFrame) -> None:
    scores = [
        [row[0] for row in model(PADDED).transform(images).orderBy("image_id").select("probability").collect()]
        for images in (told(samples, PADDED), samples)
    ]
    assert scores[0] == scores[1]
    assert scores[0].count(None) == 1


@pytest.mark.parametrize(("seed", "warnings"), [(3, 0), (4, 1)])
def test_samples_split_otherwise_than_in_training_are_warned_of(
    samples: DataFrame, caplog: pytest.LogCaptureFixture, seed: int, warnings: int
) -> None:
    with caplog.at_level(logging.WARNING, logger="radspark"):
        model(PADDED, BY_PATIENT).evaluate(
            mark_origin(samples, replace(BY_PATIENT, split=replace(BY_PATIENT.split, seed=seed)))
        )
    said = "the samples are split otherwise than in training (seed 3 then, 4 now): patients that were trained on"
    assert [said in message for message in caplog.messages] == [True] * warnings
