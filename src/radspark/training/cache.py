"""A worker's local cache: the prepared samples of a shard as memory-mapped files, filled once and read at every step.

Shapes: N samples of the shard, C findings, S side of a prepared image.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ShardName:
    """One part of one split; the folder of the cache that holds it."""

    split: str
    """train or validation."""
    shard: int
    num_shards: int

    @property
    def folder(self) -> str:
        return f"{self.split}-{self.shard:05d}-of-{self.num_shards:05d}"


@dataclass(frozen=True)
class CachedShard:
    """The samples of one shard, read through the page cache."""

    images_NSS: NDArray[np.uint8]
    labels_NC: NDArray[np.float32]
    """NaN where unknown."""
    keys_N: NDArray[np.int64]
    """Hash of each image's id, from which its augmentation is drawn."""
    folder: Path | None = None
    """Where it lies; None for a shard without samples."""

    def __len__(self) -> int:
        return len(self.keys_N)


@dataclass(frozen=True)
class SampleBatch:
    """Some samples of a shard on their way into the cache."""

    name: ShardName
    indices_B: NDArray[np.int64]
    """Place of each sample within the shard."""
    images_BSS: NDArray[np.uint8]
    labels_BC: NDArray[np.float32]
    keys_B: NDArray[np.int64]


class ShardCache:
    """A folder of shards on local disk, mode 0700: the files hold patients' pixels."""

    def __init__(self, folder: Path, *, image_size: int, num_findings: int) -> None:
        self._folder = folder
        self._image_size = image_size
        self._num_findings = num_findings

    def holds(self, name: ShardName) -> bool:
        """Whether every sample of the shard is here."""
        return (self._folder / name.folder / "complete.json").is_file()

    def fill(self, sizes: dict[ShardName, int], batches: Iterable[SampleBatch]) -> None:
        """Write shards of known sizes from batches in any order.

        Raises:
            OSError: the disk is full.
            ValueError: a shard got another number of samples than its size.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        open_shards = {name: self._map(name, size, mode="w+") for name, size in sizes.items() if size}
        written = dict.fromkeys(sizes, 0)
        for batch in batches:
            shard = open_shards[batch.name]
            shard.images_NSS[batch.indices_B] = batch.images_BSS
            shard.labels_NC[batch.indices_B] = batch.labels_BC
            shard.keys_N[batch.indices_B] = batch.keys_B
            written[batch.name] += len(batch.indices_B)
        for name, size in sizes.items():
            if written[name] != size:
                raise ValueError(f"shard {name.folder} must hold {size} samples, got {written[name]}.")
            folder = self._folder / name.folder
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / "complete.json").write_text(json.dumps({"num_samples": size}))

    def open(self, name: ShardName) -> CachedShard:
        """Map a complete shard."""
        size = json.loads((self._folder / name.folder / "complete.json").read_text())["num_samples"]
        return self._map(name, size, mode="r") if size else self._empty()

    def _map(self, name: ShardName, size: int, *, mode: str) -> CachedShard:
        folder = self._folder / name.folder
        folder.mkdir(mode=0o700, exist_ok=True)

        def array(file: str, dtype: type, shape: tuple[int, ...]) -> Any:
            return np.memmap(folder / file, dtype=dtype, mode=mode, shape=shape)  # type: ignore[call-overload]

        return CachedShard(
            images_NSS=array("images.u8", np.uint8, (size, self._image_size, self._image_size)),
            labels_NC=array("labels.f32", np.float32, (size, self._num_findings)),
            keys_N=array("keys.i64", np.int64, (size,)),
            folder=folder,
        )

    def _empty(self) -> CachedShard:
        return CachedShard(
            images_NSS=np.empty((0, self._image_size, self._image_size), np.uint8),
            labels_NC=np.empty((0, self._num_findings), np.float32),
            keys_N=np.empty(0, np.int64),
        )
