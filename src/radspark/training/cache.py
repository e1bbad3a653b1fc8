"""A worker's local cache: the prepared samples of a shard as memory-mapped files, filled once and read at every step.

A shard is there whole or not at all: it is written beside its place and moved in one step. Workers of one executor
share a cache; how much of it there may be, and on which disk, is left to `room`. Shapes: N samples of the shard, B of a
batch, C findings, S side of a prepared image.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radspark.training.room import Room


@dataclass(frozen=True, order=True)
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

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All that it consists of."""
        return self.images_NSS, self.labels_NC, self.keys_N


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
    """Shards in the folders of a room, mode 0700: the files hold patients' pixels."""

    def __init__(self, room: Room, *, image_size: int, num_findings: int, part: str = "") -> None:
        """Open it.

        Args:
            part: of the room's folders, if shards do not lie in these themselves: a private one, or one by number.
        """
        self._room = room
        self._part = part
        self._image_size = image_size
        self._num_findings = num_findings

    @property
    def place(self) -> str:
        """That tells it from others of the same host."""
        return str(self._own(self._room.folders[0]))

    def holds(self, name: ShardName) -> bool:
        """Whether every sample of the shard is here."""
        return self._find(name) is not None

    def num_bytes(self, size: int) -> int:
        """That a shard of `size` samples takes."""
        return sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for _, dtype, shape in self._files(size))

    def fill(self, sizes: Mapping[ShardName, int], batches: Iterable[SampleBatch]) -> None:
        """Write shards of known sizes from batches in any order; those that are here already stay.

        Raises:
            NoRoomError: they do not fit.
            OSError: the disk is full.
            ValueError: a shard got another number of samples than its size.
        """
        with self.new({name: size for name, size in sizes.items() if not self.holds(name)}) as shards:
            written = dict.fromkeys(shards, 0)
            for batch in batches:
                if batch.name not in shards:
                    continue
                shard = shards[batch.name]
                shard.images_NSS[batch.indices_B] = batch.images_BSS
                shard.labels_NC[batch.indices_B] = batch.labels_BC
                shard.keys_N[batch.indices_B] = batch.keys_B
                written[batch.name] += len(batch.indices_B)
            for name, count in written.items():
                if count != sizes[name]:
                    raise ValueError(f"shard {name.folder} must hold {sizes[name]} samples, got {count}.")

    @contextmanager
    def new(self, sizes: Mapping[ShardName, int]) -> Iterator[dict[ShardName, CachedShard]]:
        """Writable shards, which come into the cache when the block ends well; those without samples have no files.

        Raises:
            NoRoomError: they do not fit.
            OSError: the disk is full.
        """
        needs = {name: self.num_bytes(size) for name, size in sizes.items() if size}
        with self._room.private() as staging:
            with self._room.taking(needs) as folders:
                shards = {
                    name: self._create(folder / staging / name.folder, sizes[name]) for name, folder in folders.items()
                }
            yield shards
            with self._room.alone():
                for name, folder in folders.items():
                    if not self.holds(name):  # else another worker of this executor was first
                        self._own(folder).mkdir(mode=0o700, exist_ok=True)
                        (folder / staging / name.folder).rename(self._own(folder) / name.folder)

    def open(self, name: ShardName, size: int) -> CachedShard:
        """Map a shard of `size` samples that is here."""
        if size == 0:
            images, labels, keys = (np.empty(shape, dtype) for _, dtype, shape in self._files(0))
            return CachedShard(images, labels, keys)
        if (found := self._find(name)) is None:
            raise FileNotFoundError(f"shard {name.folder} is not in this cache.")
        return self._map(found, size, mode="r")

    def keep(self, names: Collection[ShardName]) -> None:
        """Remove all other shards."""
        kept = {name.folder for name in names}
        self._room.remove(str(Path(self._part, "*-of-*")), but=kept.__contains__)

    def supersede(self) -> None:
        """Remove all numbered parts before this one."""
        self._room.remove("[0-9]*", but=self._part.__le__)

    def _own(self, folder: Path) -> Path:
        return folder / self._part

    def _find(self, name: ShardName) -> Path | None:
        places = (self._own(folder) / name.folder for folder in self._room.folders)
        return next((place for place in places if place.is_dir()), None)

    def _create(self, folder: Path, size: int) -> CachedShard:
        folder.mkdir(mode=0o700)
        for file, dtype, shape in self._files(size):
            with (folder / file).open("wb") as handle:
                # A hole in a file that is mapped kills the process where a full disk should be an error.
                os.posix_fallocate(handle.fileno(), 0, int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return self._map(folder, size, mode="r+")

    def _map(self, folder: Path, size: int, *, mode: str) -> CachedShard:
        images, labels, keys = (
            np.memmap(folder / file, dtype=dtype, mode=mode, shape=shape)  # type: ignore[call-overload]
            for file, dtype, shape in self._files(size)
        )
        return CachedShard(images, labels, keys, folder)

    def _files(self, size: int) -> list[tuple[str, Any, tuple[int, ...]]]:
        """Name, type and shape of the files of a shard."""
        return [
            ("images.u8", np.uint8, (size, self._image_size, self._image_size)),
            ("labels.f32", np.float32, (size, self._num_findings)),
            ("keys.i64", np.int64, (size,)),
        ]
