"""XRayModel: a trained classifier as a Spark ML Model, and how it is saved and loaded."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml import Model
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, FloatType, StructType

from radspark.bundle import FILES, Bundle, load_bundle, save_bundle
from radspark.errors import ArgumentError, BundleError
from radspark.frames.described import described
from radspark.frames.filesystem import absolute_uri, fetched, publish
from radspark.labels import LabelSet
from radspark.metrics import Evaluation, evaluate_scores
from radspark.metrics.decision import DEFAULT_POINT, Decision
from radspark.ml.agreement import check_preparation, warn_of_leak
from radspark.ml.params import SampleParams
from radspark.ml.scores import gather_scores
from radspark.ml.scoring import score_batches
from radspark.predict.predictor import check_module_factory, read_decision

if TYPE_CHECKING:
    from torch import nn

    from radspark.engine.checkpoint import KeptWeights
    from radspark.engine.history import RunRecord
    from radspark.samples.feed import SplitCounts


@dataclass(frozen=True)
class TrainingSummary:
    """What `fit` saw and did; not saved with the model."""

    kept: KeptWeights
    """The weights of the bundle, with the validation scores that they made."""
    record: RunRecord
    counts: Mapping[str, SplitCounts]
    """Of train and validation."""
    unreadable: Sequence[tuple[str, str]]
    """Path (or image id) and error of the images left out."""


class XRayModel(Model, SampleParams, MLWritable, MLReadable["XRayModel"]):
    """Adds `probability` to radiographs; holds a bundle, and after `fit` a summary of the run that made it."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        moduleFactory: Callable[[], nn.Module] | None = None,
        summary: TrainingSummary | None = None,
    ) -> None:
        super().__init__()
        self.bundle = bundle
        self.moduleFactory = moduleFactory
        self.summary = summary

    @property
    def labels(self) -> LabelSet:
        """The findings, in the order of the probabilities."""
        return self.bundle.labels

    @property
    def decision(self) -> Decision:
        """Calibration and thresholds that were chosen on the validation samples."""
        return read_decision(self.bundle)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        probability_col = self.getOrDefault(self.probabilityCol)
        image_col = self.getOrDefault(self.imageCol)
        if image_col not in dataset.columns:
            raise ArgumentError(
                f"imageCol must be a column of the DataFrame ({', '.join(dataset.columns)}), got {image_col!r}."
            )
        score_col = self.getOrDefault(self.scoreCol) if self.decision.calibration else None
        for name, column in (("probabilityCol", probability_col), ("scoreCol", score_col)):
            if column in dataset.columns:
                raise ArgumentError(
                    f"{name} must be a new column, but the DataFrame has {column!r} already; drop it, or "
                    "set another name."
                )
        check_preparation(self.bundle, dataset, image_col)
        check_module_factory(self.bundle, self.moduleFactory)
        schema = StructType([*dataset.schema.fields])
        for column in (score_col, probability_col):
            if column is not None:
                schema = schema.add(column, ArrayType(FloatType()))
        task = partial(
            score_batches,
            bundle=self.bundle,
            bundle_key=bundle_key(self.bundle),
            module_factory=self.moduleFactory,
            image_col=image_col,
            score_col=score_col,
            probability_col=probability_col,
            cores=1,
        )
        return dataset.mapInArrow(task, schema)

    def evaluate(self, samples: DataFrame) -> Evaluation:
        """Every measure per finding on labelled radiographs, at the thresholds of Youden's index on validation.

        Unreadable radiographs are left out.

        Warns, by logging, of samples that are split otherwise than in training.

        Raises:
            DataError: no readable image.
            ArgumentError: images that are prepared otherwise than in training.
        """
        warn_of_leak(self.bundle, samples)
        with described(samples.sparkSession, "radspark: scoring radiographs to evaluate the model"):
            scores = gather_scores(
                self.transform(samples),
                label_col=self.getOrDefault(self.labelCol),
                probability_col=self.getOrDefault(self.probabilityCol),
            )
        thresholds = self.decision.thresholds_of(self.labels, DEFAULT_POINT) if self.decision.thresholds else None
        return evaluate_scores(scores.labels_NC, scores.probabilities_NC, self.labels, thresholds=thresholds)

    def saveBundle(self, path: str) -> None:
        """Write the bundle to any file system that Spark reaches; an earlier bundle there is replaced.

        Args:
            path: a path without a scheme lies on this machine.

        Raises:
            SetupError: something else than a bundle is there.
        """
        with tempfile.TemporaryDirectory(prefix="radspark-") as folder:
            save_bundle(self.bundle, Path(folder) / "bundle")
            publish(SparkSession.active(), Path(folder) / "bundle", path, replaceable=FILES)

    @classmethod
    def loadBundle(cls, path: str, *, moduleFactory: Callable[[], nn.Module] | None = None) -> XRayModel:
        """Read a bundle from any file system that Spark reaches.

        Args:
            moduleFactory: makes the user's own network, for a bundle that holds one.

        Raises:
            BundleError: it is damaged, incomplete or newer than this version.
        """
        try:
            with fetched(SparkSession.active(), path) as folder:
                return cls(load_bundle(folder), moduleFactory=moduleFactory)
        except FileNotFoundError as error:
            raise BundleError(f"there is no bundle at {path}; give the folder that saveBundle wrote.") from error

    def copy(self, extra: Any = None) -> XRayModel:
        """A model with the same bundle and run."""
        copied: XRayModel = super().copy(extra)
        return copied

    def write(self) -> MLWriter:
        """Spark ML's writer: metadata beside the bundle."""
        return _ModelWriter(self)

    @classmethod
    def read(cls) -> MLReader[XRayModel]:
        """Spark ML's reader."""
        return _ModelReader()


class _ModelWriter(MLWriter):
    def __init__(self, model: XRayModel) -> None:
        super().__init__()
        self._model = model

    def saveImpl(self, path: str) -> None:
        with described(self.sparkSession, "radspark: saving the model"):
            DefaultParamsWriter.saveMetadata(self._model, path, self.sparkSession)
        self._model.saveBundle(f"{absolute_uri(self.sparkSession, path)}/bundle")


class _ModelReader(MLReader[XRayModel]):
    def load(self, path: str) -> XRayModel:
        with described(self.sparkSession, "radspark: loading the model"):
            metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        model = XRayModel.loadBundle(f"{absolute_uri(self.sparkSession, path)}/bundle")
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model


def bundle_key(bundle: Bundle) -> str:
    """Tells bundles of one process apart."""
    digest = hashlib.sha256(repr((bundle.model, bundle.preparation, bundle.labels, bundle.decision)).encode())
    for name in sorted(bundle.weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(bundle.weights[name]).data)
    return digest.hexdigest()
