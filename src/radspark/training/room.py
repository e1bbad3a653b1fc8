"""How much of a run's samples an executor may keep, and in which of its folders: looked at before a byte is written.

The workers of an executor share its room and start at the same moment, so one at a time looks at it and takes its part.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from radspark.training.memory import find_memories

logger = logging.getLogger(__name__)

GB = 1e9
SPARED_BYTES = 10**9
"""That stay free on a disk, or of the memory: others write there too. Of less than ten times as much, a tenth."""

PRIVATE = ".private-"
"""Begins the names of folders that are one worker's alone, or nobody's."""

Name = TypeVar("Name")


class NoRoomError(Exception):
    """The samples of an executor's workers do not fit; the message is for the user."""


class Free(NamedTuple):
    """What is left where a folder lies."""

    device: int
    """Folders on the same one share it."""
    bytes: int


def free_on_disk(folder: Path) -> Free:
    """Of a folder's disk, but for what is spared."""
    disk = shutil.disk_usage(folder)
    return Free(folder.stat().st_dev, disk.free - _spared(disk.total))


def free_in_memory(folder: Path) -> Free:
    """Of shared memory, which can be given more bytes than the machine or the container has."""
    left = [memory.available - _spared(memory.total) for memory in find_memories()]
    return Free(folder.stat().st_dev, min(shutil.disk_usage(folder).free, *left))


def _spared(total: int) -> int:
    return min(SPARED_BYTES, total // 10)


def make_folders(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Those of the folders that can be written to, made if need be, mode 0700: one disk of many can fail.

    Raises:
        NoRoomError: none can.
    """
    failures = {folder: _make(folder) for folder in folders}
    made = tuple(folder for folder, failure in failures.items() if failure is None)
    for folder in failures.keys() - set(made):
        logger.warning("no samples are kept in %s: %s", folder, failures[folder])
    if not made:
        raise NoRoomError(
            "no room for the samples of a worker: nothing can be written to any of Spark's local directories "
            f"({', '.join(set(map(str, failures.values())))}); mend their disks, or set spark.local.dir to others."
        )
    return made


def _make(folder: Path) -> str | None:
    """Why it cannot be written to, if so."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error.strerror
    return None


def check_limit(num_bytes: int, limit_bytes: int) -> None:
    """That an executor keeps no more than it may.

    Raises:
        NoRoomError: it would.
    """
    if num_bytes > limit_bytes:
        raise NoRoomError(
            f"no room for the samples of a worker: with them its executor would keep {_gb(num_bytes)} GB, and "
            f"training.cache_gb is {_gb(limit_bytes)}; raise it, add executors, or prepare smaller images."
        )


@dataclass(frozen=True)
class Room:
    """The folders of one run on one executor, and what may lie in them."""

    folders: tuple[Path, ...]
    """On as many disks as Spark's local directories are; see `make_folders`."""
    limit_bytes: int | None = None
    """In all folders together; None: as much as is free on their disks."""
    free: Callable[[Path], Free] = free_on_disk
    place: str = "Spark's local directory (spark.local.dir)"
    """What the folders lie in, for the user."""
    remedy: str = "free some, or set spark.local.dir to a larger disk"

    @contextmanager
    def taking(self, needs: Mapping[Name, int]) -> Iterator[dict[Name, Path]]:
        """A folder for each of some parts, by their bytes; these must be allocated in the block.

        Raises:
            NoRoomError: they do not fit.
        """
        with self.alone():
            if needs and self.limit_bytes is not None:
                check_limit(sum(needs.values()) + sum(_allocated(folder) for folder in self.folders), self.limit_bytes)
            yield self._choose(needs)

    @contextmanager
    def private(self) -> Iterator[str]:
        """The name of a folder in each of the folders that is this worker's alone.

        They go when the block ends; where the worker is killed in it, when the next one looks for room.
        """
        name = f"{PRIVATE}{secrets.token_hex(8)}"
        try:
            with ExitStack() as held:
                with self.alone():
                    for folder in self.folders:
                        (folder / name).mkdir(mode=0o700)
                        held.enter_context(_locked(folder / name / ".lock"))
                yield name
        finally:
            with self.alone():  # sweeps: it is nobody's now
                pass

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other worker of this executor takes room, or puts parts into their place, during the block.

        What is nobody's any more is removed first.
        """
        with _locked(self.folders[0] / ".lock"):
            self._sweep()
            yield

    def remove(self, pattern: str, *, but: Callable[[str], bool]) -> None:
        """Remove folders, but for those of some names, whole or not at all.

        Args:
            pattern: their path in each of the folders.
        """
        with self.alone():
            for folder in self.folders:
                for part in folder.glob(pattern):
                    if not but(part.name):
                        part.rename(folder / f"{PRIVATE}{part.name}")
            self._sweep()

    def _sweep(self) -> None:
        """Remove the private folders that are nobody's."""
        for folder in self.folders:
            for private in folder.glob(f"{PRIVATE}*"):
                with suppress(BlockingIOError), _locked(private / ".lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
                    shutil.rmtree(private, ignore_errors=True)

    def _choose(self, needs: Mapping[Name, int]) -> dict[Name, Path]:
        """The roomiest folder for each part, the largest parts first."""
        devices = {folder: self.free(folder) for folder in self.folders}
        left = dict(devices.values())
        chosen = {}
        for name, needed in sorted(needs.items(), key=lambda part: -part[1]):
            folder = max(self.folders, key=lambda folder: left[devices[folder].device])
            left[devices[folder].device] -= needed
            if left[devices[folder].device] < 0:
                raise self._no_room([*needs.values()], [*dict(devices.values()).values()])
            chosen[name] = folder
        return chosen

    def _no_room(self, needs: list[int], free: list[int]) -> NoRoomError:
        """For parts of some bytes, on disks that have some free."""
        disks = sorted((num_bytes for num_bytes in free if num_bytes > 0), reverse=True)
        parts, smaller = "", ""
        if sum(needs) <= sum(disks):
            parts = f", in parts of up to {_gb(max(needs))} GB that lie on one disk each"
            smaller = "raise training.num_shards for smaller parts, "
        return NoRoomError(
            f"no room for the samples of a worker: they need {_gb(sum(needs))} GB{parts}, and {self.place} has "
            f"{' + '.join(map(_gb, disks or [0]))} GB free, beside what is spared for others; {self.remedy}, "
            f"{smaller}add executors, or prepare smaller images."
        )


@contextmanager
def _locked(file: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock that ends with the block, or with the process."""
    with file.open("w") as lock:
        fcntl.flock(lock, how)
        yield


def _allocated(folder: Path) -> int:
    """Bytes of the files in a folder."""
    total = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            with suppress(FileNotFoundError):  # features get their name when they are whole
                total += (Path(parent) / file).stat().st_size
    return total


def _gb(num_bytes: float) -> str:
    return f"{num_bytes / GB:.3f}"
