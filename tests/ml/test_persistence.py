"""Saving and loading by Spark ML's own means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.errors import AnalysisException

from radspark.bundle import Bundle
from radspark.errors import SetupError
from radspark.labels import LabelSet
from radspark.ml import XRayModel
from radspark.nn.network import build_network
from radspark.settings import ModelSettings, PreparationSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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
