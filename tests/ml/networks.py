"""Small networks of a user's own, importable on executors."""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from pyspark import TaskContext
from torch import nn


class Small(nn.Module):
    """Convolution, batch norm, dropout: what makes training on several workers hard, in little."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2),
            nn.BatchNorm2d(16),
        )
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(16, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(self.trunk(images.float() / 128 - 1).relu().amax((2, 3))))


class Slow(Small):
    """Leaves a signal from outside the time to come before the last step."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            time.sleep(0.5)
        return super().forward(images)


class NoDropout(Small):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Identity()


class Failing(Small):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and torch.is_grad_enabled():
            raise ArithmeticError("the user's own mistake")
        return super().forward(images)


class FailingInTasks(Small):
    def __init__(self) -> None:
        super().__init__()
        if TaskContext.get() is not None:
            raise ArithmeticError("the user's own mistake")


class Signing(Small):
    """Leaves a file named by the process that computed a gradient."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder
        self.head.weight.register_hook(self._sign)

    def _sign(self, gradient: torch.Tensor) -> None:
        Path(self.folder, str(os.getpid())).touch()


def signing(folder: Path) -> partial:
    return partial(Signing, str(folder))


class Dying(Small):
    """Ends its process without a word, as a crash in native code does."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and torch.is_grad_enabled():
            os._exit(1)
        return super().forward(images)


class Silent:
    """In the place of an accumulator."""

    def add(self, _: object) -> None:
        pass


def tell_nothing_once(number: int, elements: Iterator, *, told: object, folder: Path, **rest: object) -> Iterator:
    """An update whose first slice does not say what it measured, the first time."""
    from radspark.engine.sliced_tasks import update

    if number == 0 and not (folder / "silent").exists():
        (folder / "silent").touch()
        told = Silent()
    return update(number, elements, told=told, **rest)


def caches(rows: Iterator[int]) -> Iterator[str]:
    """Names of the folders that an executor keeps, one for each run."""
    from radspark.engine.caches import cache_folders

    for level in ("disk", "memory"):
        for folder in cache_folders("any", level):
            yield from (path.name for path in folder.parent.glob("*"))
