"""XRayClassifier: the Spark ML Estimator that trains a network on samples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.ml import Estimator
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable, MLWriter
from pyspark.sql import DataFrame, SparkSession
from torch import nn

from radspark.bundle import Bundle
from radspark.engine.checkpoint import CheckpointFolder, KeptWeights, check_choices, resume_from
from radspark.engine.observer import Observer
from radspark.engine.run import Run, TrainingResult, first_state
from radspark.engine.slots import choose_num_workers
from radspark.errors import ArgumentError, DataError, WeightsError
from radspark.frames.filesystem import fetched
from radspark.labels import NIH_FINDINGS, LabelSet
from radspark.metrics import METRICS
from radspark.metrics.decision import fit_decision
from radspark.ml.agreement import with_preparation_of
from radspark.ml.model import TrainingSummary, XRayModel
from radspark.ml.params import TrainingParams
from radspark.nn.network import XRayNetwork, build_network
from radspark.nn.user_module import UserNetwork, wrap_user_module
from radspark.nn.watch import check_metric
from radspark.samples.feed import IndexedSamples, SampleColumns, index_samples
from radspark.samples.origin import find_origin
from radspark.settings import DecisionSettings, Recipe
from radspark.training.state import PackedState

logger = logging.getLogger(__name__)


class XRayClassifier(
    Estimator[XRayModel], TrainingParams, DefaultParamsWritable, DefaultParamsReadable["XRayClassifier"]
):
    """Trains a classifier of radiographs by rounds of synchronous mini-batch steps on Spark.

    Every Param can be given by keyword; `recipe` (a preset's name, a Recipe or a dict) is the base that they change.

    Example:
        >>> samples = load_samples(spark, Source("nih", "ChestX-ray14")).frame
        >>> model = XRayClassifier(backbone="densenet121", weights="imagenet", epochs=15).fit(samples)
        >>> model.evaluate(samples.where("split = 'test'")).mean_auroc
    """

    def __init__(
        self,
        *,
        moduleFactory: Callable[[], nn.Module] | None = None,
        observers: Sequence[Observer] = (),
        **params: Any,
    ) -> None:
        """Set Params by keyword.

        Args:
            moduleFactory: makes the user's own network, uint8 (N, 1, S, S) to logits (N, C), in place of `backbone`.
            observers: told of steps and epochs while the run goes on.
        """
        super().__init__()
        self.moduleFactory = moduleFactory
        self.observers = tuple(observers)
        self.setParams(**params)

    def setParams(self, **params: Any) -> XRayClassifier:
        """Set Params by keyword.

        Raises:
            TypeError: no such Param.
        """
        for name in params:
            if not self.hasParam(name):
                known = ", ".join(sorted(param.name for param in self.params))
                raise TypeError(f"XRayClassifier has no Param {name!r}; it has {known}.")
        self._set(**{name: value for name, value in params.items() if value is not None})
        return self

    def write(self) -> MLWriter:
        """Spark ML's writer of the Params; observers are not saved.

        Raises:
            ArgumentError: with a `moduleFactory`, which is a function.
        """
        if self.moduleFactory is not None:
            raise ArgumentError(
                "an XRayClassifier with a moduleFactory cannot be saved, as nothing is imported by a name found in a "
                "file; save the fitted model, which asks for the factory when it is used."
            )
        return super().write()

    def _fit(self, dataset: DataFrame) -> XRayModel:
        recipe = self.getRecipe()
        labels = self._label_set()
        spark = dataset.sparkSession
        num_workers = choose_num_workers(spark, recipe.training)
        check_metric(recipe.training.metric, METRICS, setting="training.metric")
        columns = self._columns(dataset)
        recipe = with_preparation_of(recipe, dataset, columns.image)
        checkpoints = self._checkpoint_folder(spark)
        # Weights that do not fit are told before the images are decoded, which can take hours.
        state = None if self.getOrDefault(self.resume) else self._first_state(spark, recipe, len(labels))
        samples = index_samples(
            dataset, columns=columns, num_findings=len(labels), seed=recipe.training.seed, num_slots=num_workers
        )
        try:
            recipe = recipe.with_image_size(samples.image_size)
            _check_unreadable(samples, recipe)
            run = Run(
                spark,
                samples,
                recipe=recipe,
                labels=labels,
                build_network=self._network_builder(recipe, len(labels)),
                num_workers=num_workers,
                checkpoints=checkpoints,
                observers=self.observers,
            )
            result = _resume(run, checkpoints, samples, recipe) if state is None else run.train(state)
        finally:
            samples.release()
        bundle = Bundle(
            model=recipe.model,
            preparation=recipe.preparation,
            labels=labels,
            weights=result.kept.network,
            user_module=None if self.moduleFactory is None else _describe(self.moduleFactory),
            data=None if columns.split is None else find_origin(dataset, columns.split),
            decision=_decide(result.kept, labels, recipe.decision),
            training=_facts(samples, result, recipe),
        )
        summary = TrainingSummary(result.kept, result.record, samples.counts, samples.unreadable)
        model = XRayModel(bundle, moduleFactory=self.moduleFactory, summary=summary)
        return self._copyValues(model)

    def _label_set(self) -> LabelSet:
        return LabelSet(tuple(self.getOrDefault(self.findings))) if self.isDefined(self.findings) else NIH_FINDINGS

    def _columns(self, dataset: DataFrame) -> SampleColumns:
        split = self.getOrDefault(self.splitCol)
        columns = SampleColumns(
            image=self.getOrDefault(self.imageCol),
            labels=self.getOrDefault(self.labelCol),
            image_id=self.getOrDefault(self.idCol),
            split=split if split in dataset.columns else None,
        )
        for name in (columns.image, columns.labels, columns.image_id):
            if name not in dataset.columns:
                raise ArgumentError(f"the samples have no column {name!r}; they have {', '.join(dataset.columns)}.")
        return columns

    def _checkpoint_folder(self, spark: SparkSession) -> CheckpointFolder | None:
        resume = self.getOrDefault(self.resume)
        if not self.isDefined(self.checkpointDir):
            if resume:
                raise ArgumentError("resume needs checkpointDir, the folder of the run's checkpoints.")
            return None
        folder = CheckpointFolder.at(spark, self.getOrDefault(self.checkpointDir))
        if not resume:
            folder.check_unused()
        return folder

    def _network_builder(self, recipe: Recipe, num_findings: int) -> Callable[[], XRayNetwork | UserNetwork]:
        """Makes the network on workers, which fill it from the state."""
        if self.moduleFactory is not None:
            return partial(
                wrap_user_module,
                self.moduleFactory,
                num_findings,
                input_size=recipe.model.input_size,
                seed=recipe.training.seed,
            )
        return partial(build_network, recipe.model.without_weights(), num_findings, seed=recipe.training.seed)

    def _first_state(self, spark: SparkSession, recipe: Recipe, num_findings: int) -> PackedState:
        """The weights that training starts from."""
        source = recipe.model.weights
        if self.moduleFactory is not None or source == "none":
            return first_state(self._network_builder(recipe, num_findings)(), recipe)
        build = partial(build_network, recipe.model, num_findings, seed=recipe.training.seed)
        if source == "imagenet":
            return first_state(build(weights="imagenet"), recipe)
        try:
            with fetched(spark, source) as path:
                return first_state(build(weights=path), recipe)
        except FileNotFoundError as error:
            raise WeightsError(f"weights must be none, imagenet or a file; {error}") from error


def _resume(run: Run, checkpoints: CheckpointFolder | None, samples: IndexedSamples, recipe: Recipe) -> TrainingResult:
    assert checkpoints is not None, "checked before the samples were decoded"
    checkpoint = resume_from(checkpoints, fingerprint=samples.fingerprint)
    check_choices(recipe, checkpoint)
    return run.train_from(checkpoint)


def _check_unreadable(samples: IndexedSamples, recipe: Recipe) -> None:
    counts = samples.counts["train"]
    share = counts.unreadable / (counts.readable + counts.unreadable)
    if share > recipe.training.max_unreadable:
        raise DataError(
            f"{counts.unreadable} of {counts.readable + counts.unreadable} training images cannot be read "
            f"({share:.0%}), more than max_unreadable = {recipe.training.max_unreadable:.0%} allows; "
            "`radspark data check` lists them with their reasons. Mend them, or raise max_unreadable."
        )
    if left_out := counts.unreadable + samples.counts["validation"].unreadable:
        logger.warning("%d images cannot be read and are left out", left_out)


def _decide(kept: KeptWeights, labels: LabelSet, settings: DecisionSettings) -> dict[str, Any] | None:
    """Calibration and thresholds on the validation samples; None without any."""
    if not len(kept.labels_NC):
        return None
    return fit_decision(
        kept.labels_NC,
        kept.probabilities_NC,
        labels,
        calibration=settings.calibration,
        sensitivity=settings.sensitivity,
        specificity=settings.specificity,
    ).to_dict()


def _describe(factory: Callable[[], nn.Module]) -> str:
    return f"{getattr(factory, '__module__', '?')}.{getattr(factory, '__qualname__', type(factory).__name__)}"


def _facts(samples: IndexedSamples, result: TrainingResult, recipe: Recipe) -> dict[str, Any]:
    """What the bundle's card says of the training."""
    facts: dict[str, Any] = {
        "training_images": samples.counts["train"].readable,
        "validation_images": samples.counts["validation"].readable,
        "weights_at_start": recipe.model.weights
        if "/" not in recipe.model.weights
        else Path(recipe.model.weights).name,
        "epochs": len(result.record.epochs),
        "kept_epoch": result.kept.epoch,
        "samples_fingerprint": samples.fingerprint,
    }
    kept = result.record.epochs[result.kept.epoch - 1].validation if result.record.epochs else None
    if kept is not None:
        facts["validation_mean_auroc"] = kept["mean_auroc"]
    return facts
