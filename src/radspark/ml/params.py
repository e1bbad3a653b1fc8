"""Spark ML Params of the estimator and the model, and their one translation into `settings`."""

from __future__ import annotations

from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters

from radspark.errors import ArgumentError
from radspark.settings import PRESETS, Recipe, from_dict, to_dict

RECIPE_PARAMS: dict[str, tuple[str, str]] = {
    "backbone": ("model", "backbone"),
    "weights": ("model", "weights"),
    "truncateAt": ("model", "truncate_at"),
    "inputSize": ("model", "input_size"),
    "dropout": ("model", "dropout"),
    "freezeUpTo": ("model", "freeze_up_to"),
    "optimizer": ("optimizer", "name"),
    "learningRate": ("optimizer", "learning_rate"),
    "weightDecay": ("optimizer", "weight_decay"),
    "headL2": ("optimizer", "head_l2"),
    "clipNorm": ("optimizer", "clip_norm"),
    "epochs": ("training", "epochs"),
    "batchSize": ("training", "batch_size"),
    "microBatchSize": ("training", "micro_batch_size"),
    "numWorkers": ("training", "num_workers"),
    "numShards": ("training", "num_shards"),
    "coresPerWorker": ("training", "cores_per_worker"),
    "device": ("training", "device"),
    "synchronizer": ("training", "synchronizer"),
    "exchange": ("training", "exchange"),
    "cacheLevel": ("training", "cache_level"),
    "cacheGb": ("training", "cache_gb"),
    "precision": ("training", "precision"),
    "metric": ("training", "metric"),
    "keep": ("training", "keep"),
    "earlyStoppingPatience": ("training", "early_stopping_patience"),
    "maxUnreadable": ("training", "max_unreadable"),
    "seed": ("training", "seed"),
    "calibration": ("decision", "calibration"),
}
"""Param to section and field of a Recipe."""


def param(name: str, doc: str, converter: Any = TypeConverters.identity) -> Any:
    """A Param as a class attribute."""
    return Param(Params._dummy(), name, doc, typeConverter=converter)


class SampleParams(Params):
    """Columns that estimator and model both read."""

    imageCol = param("imageCol", "column of prepared radiographs in Spark ML's image schema", TypeConverters.toString)
    labelCol = param(
        "labelCol", "column of labels, array<float> in the order of findings, null if unknown", TypeConverters.toString
    )
    probabilityCol = param(
        "probabilityCol", "column of probabilities, array<float> in the order of findings", TypeConverters.toString
    )

    scoreCol = param(
        "scoreCol",
        "column of the network's own probabilities, which a calibrated model adds to the calibrated ones",
        TypeConverters.toString,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(imageCol="image", labelCol="labels", probabilityCol="probability", scoreCol="score")


class TrainingParams(SampleParams):
    """What the estimator is told; a Param that is set wins over the same field of `recipe`."""

    idCol = param("idCol", "column that names each radiograph once", TypeConverters.toString)
    splitCol = param(
        "splitCol",
        "column with train or validation, other rows are left out; where it is missing, all rows train",
        TypeConverters.toString,
    )
    findings = param("findings", "names of the findings, in the order of the labels", TypeConverters.toListString)
    recipe = param(
        "recipe",
        "preset name, Recipe, or nested dict as in recipe.toml: the base of all other choices",
        lambda value: to_dict(value) if isinstance(value, Recipe) else value,
    )
    checkpointDir = param("checkpointDir", "folder for a checkpoint after each round", TypeConverters.toString)
    resume = param("resume", "go on from the newest checkpoint in checkpointDir", TypeConverters.toBoolean)

    backbone = param("backbone", "timm architecture, by timm's name", TypeConverters.toString)
    weights = param(
        "weights", "none, imagenet, or the path of a .safetensors or state-dict file", TypeConverters.toString
    )
    truncateAt = param("truncateAt", "last layer of the backbone that is kept", TypeConverters.toString)
    inputSize = param("inputSize", "side of the network's input, cut from the image", TypeConverters.toInt)
    dropout = param("dropout", "probability before the linear layer", TypeConverters.toFloat)
    freezeUpTo = param("freezeUpTo", "trunk, or the last layer whose weights stay", TypeConverters.toString)
    optimizer = param("optimizer", "sgd, adam, adamw or lars", TypeConverters.toString)
    learningRate = param("learningRate", "peak learning rate", TypeConverters.toFloat)
    weightDecay = param("weightDecay", "on kernels and matrices", TypeConverters.toFloat)
    headL2 = param("headL2", "L2 on the head alone", TypeConverters.toFloat)
    clipNorm = param("clipNorm", "largest global norm of the gradient", TypeConverters.toFloat)
    epochs = param("epochs", "passes over the training samples", TypeConverters.toInt)
    batchSize = param("batchSize", "samples per step over all workers", TypeConverters.toInt)
    microBatchSize = param("microBatchSize", "most samples in one forward pass", TypeConverters.toInt)
    numWorkers = param("numWorkers", "Spark tasks that train; default: every free slot", TypeConverters.toInt)
    numShards = param("numShards", "fixed parts of the samples, which decide the result", TypeConverters.toInt)
    coresPerWorker = param("coresPerWorker", "threads of a worker", TypeConverters.toInt)
    device = param("device", "what a worker trains on: cpu, or cuda, a GPU of its own", TypeConverters.toString)
    synchronizer = param("synchronizer", "how gradients are summed: collective or sliced", TypeConverters.toString)
    exchange = param("exchange", "in what gradients travel: float32 or bfloat16", TypeConverters.toString)
    cacheLevel = param("cacheLevel", "where executors keep samples: disk, memory or none", TypeConverters.toString)
    cacheGb = param("cacheGb", "most GB of samples that an executor keeps", TypeConverters.toFloat)
    precision = param("precision", "float32 or bfloat16", TypeConverters.toString)
    metric = param("metric", "mean_auroc, mean_average_precision or loss, on validation", TypeConverters.toString)
    keep = param("keep", "best (by metric) or last", TypeConverters.toString)
    earlyStoppingPatience = param(
        "earlyStoppingPatience",
        "training ends when the metric has not improved for more epochs than this",
        TypeConverters.toInt,
    )
    maxUnreadable = param("maxUnreadable", "share of unreadable training images allowed", TypeConverters.toFloat)
    calibration = param(
        "calibration", "none, platt, isotonic or temperature, fitted on validation", TypeConverters.toString
    )
    seed = param("seed", "of weights, order, augmentation and dropout", TypeConverters.toInt)

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(idCol="image_id", splitCol="split", recipe="default", resume=False)

    def getRecipe(self) -> Recipe:
        """All choices, resolved.

        Raises:
            ArgumentError: a choice is out of its range; the message names it.
        """
        resolved = to_dict(resolve_recipe(self.getOrDefault(self.recipe)))
        for name, (section, field) in RECIPE_PARAMS.items():
            if self.isSet(self.getParam(name)):
                resolved[section][field] = self.getOrDefault(name)
        return from_dict(Recipe, resolved)


def resolve_recipe(value: object) -> Recipe:
    """A Recipe from a preset's name or a nested dict."""
    if isinstance(value, dict):
        return from_dict(Recipe, value)
    if isinstance(value, str) and value in PRESETS:
        return PRESETS[value]
    raise ArgumentError(f"recipe must be a Recipe, a dict or one of {', '.join(PRESETS)}, got {value!r}.")
