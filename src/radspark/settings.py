"""Every choice of a run as frozen dataclasses; a recipe is all of them together.

Holds names, defaults, ranges and the checks that need no data. What the choices do lives where they are used.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import difflib
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union

from radspark.errors import ArgumentError

T = TypeVar("T")


def require(condition: bool, message: str) -> None:
    """Raise ArgumentError with a message that names field, rule and value."""
    if not condition:
        raise ArgumentError(message)


@dataclass(frozen=True)
class SplitSettings:
    """Which radiographs train, validate and test. Shares are of patients."""

    policy: str = "official"
    """A name of `datasets.splits.SPLIT_POLICIES`."""
    validation_share: float = 0.1
    """Of the patients that do not test; where all three parts are drawn, of all patients. Has no effect where the
    validation part is official."""
    test_share: float = 0.2
    """Of all patients; only where the test part is drawn."""
    seed: int = 0
    test_sites: tuple[str, ...] = ()
    """Under the policy `site`: whoever has a radiograph from one of these tests."""
    test_from: str | None = None
    """Under the policy `date`: whoever is first seen on this day (`2020-01-31`) or later tests."""

    def __post_init__(self) -> None:
        for name in ("validation_share", "test_share"):
            value = getattr(self, name)
            require(0 <= value < 1, f"{name} must be at least 0 and below 1, got {value}.")
        if self.test_from is not None:
            try:
                datetime.date.fromisoformat(self.test_from)
            except ValueError:
                raise ArgumentError(f"test_from must be a day such as 2020-01-31, got {self.test_from!r}.") from None


@dataclass(frozen=True)
class DataSettings:
    """Which data a model was trained on, and how the patients were dealt out."""

    dataset: str
    """Names of data sets, with ` + ` between several."""
    split: SplitSettings = SplitSettings()
    rules: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What was chosen about the labels; with several data sets, by the name of each."""

    @property
    def datasets(self) -> frozenset[str]:
        """Names of the data sets."""
        return frozenset(self.dataset.split(" + "))


@dataclass(frozen=True)
class PreparationSettings:
    """From decoded grey values to the uint8 square that is kept through Spark."""

    size: int = 256
    """Side of the prepared image in pixels, 16 to 4096."""
    aspect: Literal["stretch", "pad"] = "stretch"
    """`stretch` resizes both sides to `size`, as the 2019 system; `pad` keeps the aspect and pads with black."""
    grey_range: Literal["auto", "stored_bits", "own_range"] = "auto"
    """What maps to 0 and 255. `stored_bits`: the range of the stored bit depth. `own_range`: the image's minimum and
    maximum, padding left out. `auto`: a DICOM's VOI LUT or window where the file has one, else `stored_bits`."""
    voi: int = 0
    """Which VOI LUT or window is taken, where a DICOM has several: its number in the file's order, from 0; where there
    are fewer, the first."""
    sixteen_bit: Literal["full", "used_bits"] = "full"
    """What is white in a 16-bit PNG. `full`: 65535. `used_bits`: the most that as many bits hold as the image's
    brightest pixel needs, such as 4095."""
    secondary_capture: bool = False
    """Whether DICOM of modality OT or SC, which does not say how it was made, is taken for a radiograph."""
    wrong_kind: Literal["refuse", "flag"] = "refuse"
    """What becomes of an image that is no chest radiograph by its header or its colors: an error, or a warning."""

    def __post_init__(self) -> None:
        require(16 <= self.size <= 4096, f"size must be between 16 and 4096 pixels, got {self.size}.")
        require(self.voi >= 0, f"voi must be at least 0, got {self.voi}.")


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes of training samples, drawn per image from (seed, epoch, image). Evaluation has none of them."""

    flip: float = 0.5
    """Probability of a left-right flip."""
    brightness: float = 0.0
    """Largest shift of all grey values up or down, as a share of the full range."""
    brightness_probability: float = 0.5
    brightness_sign: Literal["both", "up"] = "both"
    """The 2019 chain only brightens: delta 0 to 32."""
    rotation_degrees: float = 0.0
    """Largest rotation to either side."""
    translation: float = 0.0
    """Largest shift along each axis, as a share of the side."""
    scale: float = 0.0
    """Largest change of size: 0.1 draws factors from 0.9 to 1.1."""
    crop: Literal["center", "random"] = "center"
    """Where the network's input is cut from the prepared image during training."""

    def __post_init__(self) -> None:
        for name in ("flip", "brightness", "brightness_probability", "translation", "scale"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"augmentation.{name} must be between 0 and 1, got {value}.")
        require(self.scale < 1.0, f"augmentation.scale must be below 1, got {self.scale}.")
        require(
            0.0 <= self.rotation_degrees <= 180.0,
            f"augmentation.rotation_degrees must be between 0 and 180, got {self.rotation_degrees}.",
        )

    @property
    def is_off(self) -> bool:
        """True if a training sample is the evaluation sample."""
        geometric = self.flip or self.rotation_degrees or self.translation or self.scale
        bright = self.brightness and self.brightness_probability
        return not geometric and not bright and self.crop == "center"


@dataclass(frozen=True)
class ModelSettings:
    """Backbone, where it is cut, its weights, and the new head."""

    backbone: str = "densenet121"
    """A timm architecture, by timm's name."""
    weights: str = "none"
    """`none`, `imagenet` (timm downloads them), or the path of a `.safetensors` or state-dict file."""
    truncate_at: str | None = None
    """Name of the last layer of the backbone that is kept; the head follows it. None keeps the whole trunk."""
    mean: float | None = None
    """Grey value, 0 to 255, that becomes 0 in the network; None takes the mean over channels that timm names."""
    std: float | None = None
    """Grey values, of 255, that become 1 in the network; None takes the mean over channels that timm names."""
    pool_includes_padding: bool = True
    """Whether average pools inside the backbone count padded zeros. Weights that come from TensorFlow do not."""
    input_size: int = 224
    """Side of the network's input, cut from the prepared image; at most its size."""
    dropout: float = 0.2
    """Probability before the linear layer."""
    freeze_up_to: str | None = None
    """`trunk` freezes all but the head (a linear probe); a layer's name freezes that layer and all before it."""

    def __post_init__(self) -> None:
        require(bool(self.backbone), "model.backbone must be a timm architecture, got an empty name.")
        require(16 <= self.input_size <= 4096, f"model.input_size must be between 16 and 4096, got {self.input_size}.")
        require(self.std is None or self.std > 0, f"model.std must be above 0, got {self.std}.")
        require(0.0 <= self.dropout < 1.0, f"model.dropout must be at least 0 and below 1, got {self.dropout}.")

    def without_weights(self) -> ModelSettings:
        """The same network, to be filled with weights that are at hand."""
        return dataclasses.replace(self, weights="none")


@dataclass(frozen=True)
class OptimizerSettings:
    """How a summed gradient changes the weights."""

    name: Literal["sgd", "adam", "adamw", "lars"] = "adam"
    learning_rate: float = 3e-4
    """Peak rate; a schedule multiplies it."""
    momentum: float = 0.9
    """SGD and LARS."""
    nesterov: bool = True
    """SGD and LARS."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam and AdamW."""
    eps: float = 1e-8
    """Adam and AdamW."""
    weight_decay: float = 0.0
    """On every weight matrix and kernel, not on biases and normalisation: L2 for SGD and Adam, decoupled for AdamW."""
    head_l2: float = 0.0
    """L2 on weight and bias of the head alone, whatever the optimizer: adds head_l2 * w to its gradient."""
    clip_norm: float | None = None
    """Largest global norm of the gradient; longer ones are scaled down to it."""

    def __post_init__(self) -> None:
        rate = self.learning_rate
        require(0 < rate < math.inf, f"optimizer.learning_rate must be above 0 and finite, got {rate}.")
        require(0 <= self.momentum < 1, f"optimizer.momentum must be at least 0 and below 1, got {self.momentum}.")
        for name in ("weight_decay", "head_l2"):
            require(getattr(self, name) >= 0, f"optimizer.{name} must be at least 0, got {getattr(self, name)}.")
        require(
            self.clip_norm is None or self.clip_norm > 0, f"optimizer.clip_norm must be above 0, got {self.clip_norm}."
        )
        require(
            all(0 <= beta < 1 for beta in self.betas),
            f"optimizer.betas must be at least 0 and below 1, got {self.betas[0]} and {self.betas[1]}.",
        )
        require(self.eps > 0, f"optimizer.eps must be above 0, got {self.eps}.")


def _require_length(kind: str, epochs: float | None) -> None:
    require(epochs is None or epochs > 0, f"{kind}.epochs must be above 0, got {epochs}.")


def _require_not_negative(kind: str, **values: float) -> None:
    for name, value in values.items():
        require(value >= 0, f"{kind}.{name} must be at least 0, got {value}.")


@dataclass(frozen=True)
class Constant:
    """The peak rate throughout."""

    epochs: float | None = None
    """Length of the phase; None lasts to the end of training (only the last phase may)."""

    def __post_init__(self) -> None:
        _require_length("constant", self.epochs)


@dataclass(frozen=True)
class Warmup:
    """Linear from `start_factor` times the peak rate up to the peak rate."""

    epochs: float = 1.0
    start_factor: float = 0.01

    def __post_init__(self) -> None:
        require(self.epochs > 0, f"warmup.epochs must be above 0, got {self.epochs}.")
        require(0 <= self.start_factor <= 1, f"warmup.start_factor must be between 0 and 1, got {self.start_factor}.")


@dataclass(frozen=True)
class StepDecay:
    """Times `factor` after every `every_epochs`."""

    every_epochs: float = 5.0
    factor: float = 0.1
    epochs: float | None = None

    def __post_init__(self) -> None:
        require(self.every_epochs > 0, f"step.every_epochs must be above 0, got {self.every_epochs}.")
        require(0 < self.factor <= 1, f"step.factor must be above 0 and at most 1, got {self.factor}.")
        _require_length("step", self.epochs)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the peak rate down to `min_learning_rate` (Loshchilov and Hutter 2017)."""

    epochs: float | None = None
    min_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        _require_length("cosine", self.epochs)
        _require_not_negative("cosine", min_learning_rate=self.min_learning_rate)


@dataclass(frozen=True)
class Polynomial:
    """(1 - progress) ** power from the peak rate down to `min_learning_rate`."""

    power: float = 1.0
    epochs: float | None = None
    min_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        require(self.power > 0, f"polynomial.power must be above 0, got {self.power}.")
        _require_length("polynomial", self.epochs)
        _require_not_negative("polynomial", min_learning_rate=self.min_learning_rate)


@dataclass(frozen=True)
class Plateau:
    """Times `factor` when a named validation metric has not improved for more than `patience` epochs."""

    metric: str = "mean_auroc"
    factor: float = 0.1
    patience: int = 1
    min_delta: float = 0.0
    """An improvement smaller than this does not count."""
    cooldown: int = 0
    """Epochs after a reduction during which nothing is counted."""
    min_learning_rate: float = 0.0
    epochs: float | None = None

    def __post_init__(self) -> None:
        require(0 < self.factor < 1, f"plateau.factor must be above 0 and below 1, got {self.factor}.")
        _require_length("plateau", self.epochs)
        _require_not_negative(
            "plateau",
            patience=self.patience,
            min_delta=self.min_delta,
            cooldown=self.cooldown,
            min_learning_rate=self.min_learning_rate,
        )


Phase = Constant | Warmup | StepDecay | Cosine | Polynomial | Plateau

PHASES: dict[str, type[Phase]] = {
    "constant": Constant,
    "warmup": Warmup,
    "step": StepDecay,
    "cosine": Cosine,
    "polynomial": Polynomial,
    "plateau": Plateau,
}
"""The `kind` of each [[schedule]] table in a recipe."""


CacheLevel = Literal["disk", "memory", "none"]


@dataclass(frozen=True)
class TrainingSettings:
    """Epochs, batches, workers, and which weights are kept."""

    epochs: int = 15
    batch_size: int = 64
    """Samples per step over all workers; steps of an epoch differ by at most one sample a shard."""
    micro_batch_size: int = 16
    """Most samples in one forward pass; a larger share of a step is run in several, and their gradients are summed."""
    num_workers: int | None = None
    """Spark tasks that train; None takes every free slot."""
    num_shards: int | None = None
    """Fixed parts of the training samples, which decide the result; None takes the workers of the first round."""
    cores_per_worker: int = 1
    """Threads of torch in a worker."""
    cache_level: CacheLevel = "disk"
    """Where executors keep samples between rounds: in Spark's local directories, in shared memory, or not at all; then
    they are sent again for each round."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of forward and backward passes; weights and sums are always float32."""
    metric: str = "mean_auroc"
    """Validation metric that early stopping and `keep` watch: mean_auroc, mean_average_precision or loss."""
    keep: Literal["best", "last"] = "best"
    early_stopping_patience: int | None = None
    """Epochs without improvement of `metric` after which training ends; None never ends early."""
    positive_weights: tuple[float, ...] | Literal["balanced"] | None = None
    """Weight of positives in the loss, per finding; `balanced` takes negatives / positives of the training samples."""
    round_minutes: float = 10.0
    """Longest time between two states that the driver holds: what a lost executor can cost."""
    max_round_failures: int = 3
    """Failed rounds in a row, without progress, after which training stops."""
    max_unreadable: float = 0.05
    """Share of training images that may be unreadable; they are left out and listed."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "micro_batch_size", "cores_per_worker", "max_round_failures"):
            value = getattr(self, name)
            require(value >= 1, f"training.{name} must be at least 1, got {value}.")
        for name in ("num_workers", "num_shards", "early_stopping_patience"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"training.{name} must be at least 1, got {value}.")
        weights = self.positive_weights
        require(
            not isinstance(weights, tuple) or (bool(weights) and min(weights) > 0),
            f"training.positive_weights must all be above 0, one for each finding, got {weights}.",
        )
        require(self.round_minutes > 0, f"training.round_minutes must be above 0, got {self.round_minutes}.")
        require(
            0 <= self.max_unreadable <= 1,
            f"training.max_unreadable must be between 0 and 1, got {self.max_unreadable}.",
        )


@dataclass(frozen=True)
class DecisionSettings:
    """How scores become probabilities, and yes or no; fitted on the validation samples when training has ended."""

    calibration: Literal["none", "platt", "isotonic", "temperature"] = "none"
    """Per finding: a line through the logits, a rising step function, or one divisor of the logit."""
    sensitivity: float = 0.9
    """That the operating point of this name reaches on the validation samples."""
    specificity: float = 0.9

    def __post_init__(self) -> None:
        for name in ("sensitivity", "specificity"):
            value = getattr(self, name)
            require(0 < value <= 1, f"decision.{name} must be above 0 and at most 1, got {value}.")


@dataclass(frozen=True)
class Recipe:
    """All choices of a training run; what `recipe.toml` holds."""

    preparation: PreparationSettings = PreparationSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    model: ModelSettings = ModelSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: tuple[Phase, ...] = (Warmup(), Cosine())
    training: TrainingSettings = TrainingSettings()
    decision: DecisionSettings = DecisionSettings()

    def __post_init__(self) -> None:
        require(bool(self.schedule), "schedule must have at least one phase, got none; use a constant one.")
        open_ended = [phase for phase in self.schedule[:-1] if phase.epochs is None]
        require(not open_ended, "only the last phase of a schedule may leave `epochs` open; give the others a length.")

    def with_image_size(self, size: int) -> Recipe:
        """The same recipe for images that were prepared at another size.

        Raises:
            ArgumentError: the network's input does not fit into them.
        """
        require(
            self.model.input_size <= size,
            f"model.input_size must be at most the side of the prepared images ({size}), got {self.model.input_size}.",
        )
        return dataclasses.replace(self, preparation=dataclasses.replace(self.preparation, size=size))


def to_dict(settings: Any) -> dict[str, Any]:
    """Plain dicts, lists and scalars, without None: ready for TOML and JSON. Inverse of `from_dict`."""
    out: dict[str, Any] = {}
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if value is None:
            continue
        if item.name == "schedule":
            kinds = {cls: kind for kind, cls in PHASES.items()}
            out["schedule"] = [{"kind": kinds[type(phase)], **to_dict(phase)} for phase in value]
        elif dataclasses.is_dataclass(value):
            out[item.name] = to_dict(value)
        else:
            out[item.name] = list(value) if isinstance(value, tuple) else value
    return out


def from_dict(cls: type[T], values: Mapping[str, Any], *, where: str = "recipe") -> T:
    """Build settings from plain values, refusing unknown names and wrong types.

    Raises:
        ArgumentError: names the field, what it must be, what it was, and for an unknown name the nearest one.
    """
    if not isinstance(values, Mapping):
        raise ArgumentError(f"{where} must be a table of settings, got {values!r}.")
    hints = typing.get_type_hints(cls)
    known = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It has {', '.join(known)}."
            raise ArgumentError(f"{where} has no setting {name!r}.{hint}")
        path = f"{where}.{name}"
        if name == "schedule":
            require(isinstance(value, list | tuple), f"{path} must be a list of tables, got {value!r}.")
            arguments[name] = tuple(_phase(item, where=f"{path}[{i}]") for i, item in enumerate(value))
        elif dataclasses.is_dataclass(hints[name]):
            arguments[name] = from_dict(typing.cast("type[Any]", hints[name]), value, where=path)
        else:
            arguments[name] = _checked(value, hints[name], path)
    return cls(**arguments)


def _phase(values: Mapping[str, Any], *, where: str) -> Phase:
    require(isinstance(values, Mapping), f"{where} must be a table with a kind, got {values!r}.")
    rest = dict(values)
    kind = rest.pop("kind", None)
    if kind not in PHASES:
        raise ArgumentError(f"{where}.kind must be one of {', '.join(PHASES)}, got {kind!r}.")
    return from_dict(PHASES[kind], rest, where=where)


def _checked(value: Any, hint: Any, path: str) -> Any:
    """The value as its annotated type, with integers widened to floats and lists to tuples."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        for option in options:
            try:
                return _checked(value, option, path)
            except ValueError:  # noqa: PERF203
                continue
    elif origin is Literal:
        if value in options:
            return value
        raise ArgumentError(f"{path} must be one of {', '.join(map(str, options))}, got {value!r}.")
    elif origin is tuple and isinstance(value, list | tuple):
        items = options[:1] * len(value) if options[-1] is Ellipsis else options
        if len(items) == len(value):
            return tuple(_checked(item, kind, path) for item, kind in zip(value, items, strict=True))
    elif origin is collections.abc.Mapping and isinstance(value, Mapping):
        return {name: _checked(item, options[1], f"{path}.{name}") for name, item in value.items()}
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif hint is Any or (hint in (int, str, bool, types.NoneType) and type(value) is hint):
        return value
    shown = getattr(hint, "__name__", None) or str(hint).replace("typing.", "")
    raise ArgumentError(f"{path} must be {shown}, got {value!r}.")


def _deck(optimizer: OptimizerSettings, warmup_epochs: float, start_factor: float) -> Recipe:
    return Recipe(
        preparation=PreparationSettings(size=256),
        augmentation=AugmentationSettings(flip=0.5, brightness=32 / 255, brightness_sign="up"),
        model=ModelSettings(backbone="resnet50", weights="imagenet", input_size=224, dropout=0.2),
        optimizer=optimizer,
        schedule=(
            Warmup(epochs=warmup_epochs, start_factor=start_factor),
            Plateau(metric="loss", factor=0.1, patience=1, min_delta=0.01, cooldown=0, min_learning_rate=1e-15),
        ),
        training=TrainingSettings(epochs=15, batch_size=1024),
    )


PRESETS: dict[str, Recipe] = {
    "default": Recipe(),
    "deck-adam": _deck(OptimizerSettings(name="adam", learning_rate=1e-4, head_l2=0.1), 5.0, 1e-3),
    "deck-sgd": _deck(
        OptimizerSettings(name="sgd", learning_rate=1e-3, momentum=0.9, nesterov=True, head_l2=0.1), 10.0, 1e-3
    ),
}
"""Named recipes. The `deck-` ones are the 2019 system's settings, with its plateau on validation loss, not on the last
mini-batch's."""
