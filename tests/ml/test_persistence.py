"""Saving and loading by Spark ML's own means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import networks
import numpy as np
import pytest
from pyspark.errors import AnalysisException

from radspark.bundle import Bundle
from radspark.errors import BundleError, SetupError
from radspark.labels import LabelSet
from radspark.ml import XRayClassifier, XRayEvaluator, XRayModel
from radspark.nn.network import build_network
from radspark.settings import PRESETS, ModelSettings, PreparationSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark


@pytest.fixture
def model(spark: SparkSession) -> XRayModel:
    settings = ModelSettings(backbone="resnet10t", input_size=32)
    weights = {name: tensor.numpy() for name, tensor in build_network(settings, 2, seed=0).state_dict().items()}
    return XRayModel(Bundle(settings, PreparationSettings(size=32), LabelSet(("upper", "lower")), weights))


def other(model: XRayModel) -> XRayModel:
    return XRayModel(replace(model.bundle, labels=LabelSet(("left", "right"))))


def test_a_saved_model_is_loaded_with_its_params(model: XRayModel, tmp_path: Path) -> None:
    model._set(probabilityCol="p")
    model.write().save(str(tmp_path / "model"))
    loaded = XRayModel.load(str(tmp_path / "model"))
    assert (loaded.uid, loaded.getOrDefault("probabilityCol")) == (model.uid, "p")
    assert loaded.bundle.model == model.bundle.model
    for name, array in model.bundle.weights.items():
        np.testing.assert_array_equal(loaded.bundle.weights[name], array)


def test_saving_over_a_model_needs_overwrite(model: XRayModel, tmp_path: Path) -> None:
    model.write().save(str(tmp_path / "model"))
    with pytest.raises(AnalysisException, match="already exists"):
        other(model).write().save(str(tmp_path / "model"))
    assert XRayModel.load(str(tmp_path / "model")).labels.names == ("upper", "lower")
    other(model).write().overwrite().save(str(tmp_path / "model"))
    assert XRayModel.load(str(tmp_path / "model")).labels.names == ("left", "right")


def test_a_bundle_is_replaced_and_a_folder_of_someone_elses_is_not(model: XRayModel, tmp_path: Path) -> None:
    for saved in (model, other(model)):
        saved.saveBundle(str(tmp_path / "bundle"))
    assert XRayModel.loadBundle(str(tmp_path / "bundle")).labels.names == ("left", "right")
    (tmp_path / "home" / "thesis").mkdir(parents=True)
    with pytest.raises(SetupError, match="holds 'thesis', so it is not replaced"):
        model.saveBundle(str(tmp_path / "home"))


def test_a_users_own_network_is_asked_for_when_a_loaded_model_is_used(
    model: XRayModel, samples: DataFrame, tmp_path: Path
) -> None:
    bundle = replace(model.bundle, user_module="networks.Small")
    XRayModel(bundle, moduleFactory=networks.Small).write().save(str(tmp_path / "model"))
    loaded = XRayModel.load(str(tmp_path / "model"))
    with pytest.raises(BundleError, match=r"its user's own \(networks.Small\); give the function that makes it as mod"):
        loaded.transform(samples)
    loaded.moduleFactory = networks.Small
    assert loaded.transform(samples).columns[-1] == "probability"


def test_an_estimator_is_saved_with_all_its_choices(spark: SparkSession, tmp_path: Path) -> None:
    estimator = XRayClassifier(
        recipe=PRESETS["deck-sgd"], findings=["upper", "lower"], epochs=3, learningRate=0.5, imageCol="x"
    )
    estimator.write().save(str(tmp_path / "estimator"))
    loaded = XRayClassifier.load(str(tmp_path / "estimator"))
    assert loaded.uid == estimator.uid
    assert loaded.getRecipe() == estimator.getRecipe()
    assert loaded.getRecipe().training.epochs == 3
    assert [loaded.getOrDefault(name) for name in ("findings", "imageCol")] == [["upper", "lower"], "x"]


def test_an_estimator_with_a_users_own_network_is_not_saved(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with a moduleFactory cannot be saved.*save the fitted model"):
        XRayClassifier(moduleFactory=networks.Small).write()


def test_an_evaluator_is_saved(spark: SparkSession, tmp_path: Path) -> None:
    XRayEvaluator(metricName="loss").write().save(str(tmp_path / "evaluator"))
    assert not XRayEvaluator.load(str(tmp_path / "evaluator")).isLargerBetter()
