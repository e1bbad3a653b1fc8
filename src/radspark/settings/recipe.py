"""All choices of a training run together, and the named ones."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from radspark.settings.checks import require
from radspark.settings.data import AugmentationSettings, PreparationSettings
from radspark.settings.model import ModelSettings
from radspark.settings.optimizer import OptimizerSettings
from radspark.settings.schedule import Cosine, Phase, Plateau, Warmup
from radspark.settings.training import DecisionSettings, TrainingSettings


@dataclass(frozen=True)
class Recipe:
    """All choices of a training run; what `recipe.toml` holds."""

    preparation: PreparationSettings = field(default_factory=PreparationSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: tuple[Phase, ...] = field(default_factory=lambda: (Warmup(), Cosine()))
    training: TrainingSettings = field(default_factory=TrainingSettings)
    decision: DecisionSettings = field(default_factory=DecisionSettings)

    def __post_init__(self) -> None:
        require(bool(self.schedule), "schedule must have at least one phase, got none; use a constant one.")
        open_ended = [phase for phase in self.schedule[:-1] if phase.epochs is None]
        require(not open_ended, "only the last phase of a schedule may leave `epochs` open; give the others a length.")
        if self.training.synchronizer == "sliced":
            whole = "lars" if self.optimizer.name == "lars" else "clip_norm" if self.optimizer.clip_norm else None
            require(
                whole is None,
                f"training.synchronizer sliced updates slices that do not see each other, and optimizer {whole} looks "
                "at the whole gradient; choose collective.",
            )

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
