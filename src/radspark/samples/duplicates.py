"""Finds radiographs whose pixels stand in two splits, under whatever names: the same ones, and near twins.

Near twins are found by a perceptual hash, the signs of a radiograph's 255 lowest frequencies about their median (pHash,
Zauner 2010, of 255 bits rather than 63). On the 2,318 radiographs of ChestX-ray14 that we have, at 256 pixels, copies
that were resized, compressed (JPEG quality 50), brightened or given another gamma are at most 28 bits off, 99.9% of
them within 24; different radiographs, of one patient or two, at least 50. Crops, flips and inversions are not found.

Shapes: N radiographs, M of them with a perceptual hash of B bytes, P pairs, S side, F frequencies along an axis.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StructField, StructType

from radspark.frames.image_schema import arrow_to_images

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FREQUENCIES = 16
"""Along each axis; all but the mean make the hash."""
NUM_BITS = FREQUENCIES**2 - 1
HASH_BYTES = FREQUENCIES**2 // 8
MAX_DISTANCE = 24
"""Most bits in which near twins differ."""
FLAT = 1.0
"""Greys; a radiograph with no frequency stronger than this has nothing to compare."""
BLOCK = 2048
"""Hashes in one side of a block of pairs."""
MAX_PAIRS = 100_000
"""Most pairs that are named. Of blank radiographs, each is every other one's twin."""

Numbers = npt.NDArray[np.int64]


class Twins(NamedTuple):
    """Two radiographs in two splits. Paths can name patients: for tables that the user asked for."""

    path: str
    split: str
    other_path: str
    other_split: str
    distance: int
    """Bits of the hash that differ; 0 where all pixels are the same."""


@dataclass(frozen=True)
class PixelLeak:
    """Radiographs that stand in two splits."""

    num_exact: int
    """Pairs with the same pixels."""
    num_near: int
    """Pairs of near twins besides."""
    pairs: tuple[Twins, ...]
    """The nearest first: all of them, or the first `MAX_PAIRS`."""

    @property
    def num_pairs(self) -> int:
        """Of both kinds."""
        return self.num_exact + self.num_near


def hash_images(decoded: DataFrame) -> DataFrame:
    """The same rows with two hashes in place of `image`: `pixels`, of all of them exactly, and `hash`, perceptual.

    Both are null where there is no image, and `hash` where it has no structure.
    """
    pixels = F.when(F.col("image").isNotNull(), F.xxhash64("image.data")).alias("pixels")
    with_pixels = decoded.select(*(name for name in decoded.columns if name != "image"), pixels, "image")
    schema = StructType([*with_pixels.schema.fields[:-1], StructField("hash", BinaryType())])
    return with_pixels.mapInArrow(_hash_batches, schema)


def _hash_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        *columns, images = batch.columns
        there = images.drop_null()
        hashes = iter(perceptual_hashes(arrow_to_images(there)) if len(there) else ())
        hashed = pa.array([next(hashes) if valid else None for valid in images.is_valid().to_pylist()], pa.binary())
        yield pa.RecordBatch.from_arrays([*columns, hashed], names=[*batch.schema.names[:-1], "hash"])


def perceptual_hashes(images_NSS: npt.NDArray[np.uint8]) -> list[bytes | None]:
    """32 bytes of each radiograph, the first bit always 0; None for one without structure."""
    basis_FS = _cosines(images_NSS.shape[1])
    hashes: list[bytes | None] = []
    for image_SS in images_NSS:
        frequencies = (basis_FS @ image_SS.astype(np.float32) @ basis_FS.T).ravel()[1:]
        bits = np.concatenate([[False], frequencies > np.median(frequencies)])
        hashes.append(np.packbits(bits).tobytes() if np.abs(frequencies).max() > FLAT else None)
    return hashes


def _cosines(side: int) -> npt.NDArray[np.float32]:
    """The lowest frequencies of the cosine transform (DCT-II), scaled so that a size of the image does not matter."""
    places = (np.arange(side) + 0.5) / side
    return (np.cos(np.pi * np.outer(np.arange(FREQUENCIES), places)) / side).astype(np.float32)


def find_pixel_leak(hashed: DataFrame) -> PixelLeak:
    """Compare every radiograph of a split with every one of the others, on the driver: 40 bytes each, and the path.

    Args:
        hashed: `path, split, pixels, hash`, as `hash_images` makes the last two.
    """
    there = hashed.where(F.col("split").isNotNull() & F.col("pixels").isNotNull())
    return compare_pixels(there.select("path", "split", "pixels", "hash").toArrow())


def compare_pixels(table: pa.Table, *, max_pairs: int = MAX_PAIRS) -> PixelLeak:
    """The same of a table without null splits and pixels; all pairs are counted, and at most `max_pairs` named."""
    found = _number(table)
    nearest = _Nearest(max_pairs)
    num_exact = num_near = 0
    for split, other in itertools.combinations(sorted(set(found.splits_N)), 2):
        left, right = np.flatnonzero(found.splits_N == split), np.flatnonzero(found.splits_N == other)
        num_exact += _find_same(found.pixels_N, left, right, nearest)
        num_near += _find_near(found, left[found.is_hashed_N[left]], right[found.is_hashed_N[right]], nearest)
    return PixelLeak(num_exact, num_near, tuple(found.name_pair(*pair) for pair in nearest.sort().tolist()))


class _Numbered(NamedTuple):
    """N radiographs in the order of their paths, each of which is a number from here on."""

    paths: pa.ChunkedArray
    splits_N: npt.NDArray[np.object_]
    pixels_N: Numbers
    is_hashed_N: npt.NDArray[np.bool_]
    hashes_NB: npt.NDArray[np.uint8]

    def name_pair(self, distance: int, left: int, right: int) -> Twins:
        """With paths and splits, for people."""
        paths = self.paths[left].as_py(), self.paths[right].as_py()
        return Twins(paths[0], self.splits_N[left], paths[1], self.splits_N[right], distance)


def _number(table: pa.Table) -> _Numbered:
    table = table.sort_by("path")
    hashes = table["hash"]
    is_hashed_N = hashes.is_valid().to_numpy()
    hashes_NB = np.zeros((len(table), HASH_BYTES), dtype=np.uint8)
    data = b"".join(b"".join(chunk.drop_null().to_pylist()) for chunk in hashes.chunks)
    hashes_NB[is_hashed_N] = np.frombuffer(data, dtype=np.uint8).reshape(-1, HASH_BYTES)
    return _Numbered(table["path"], table["split"].to_numpy(), table["pixels"].to_numpy(), is_hashed_N, hashes_NB)


class _Nearest:
    """Of the pairs that are added, the first by distance and then by path, at most so many."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._parts_P3 = [np.empty((0, 3), dtype=np.int64)]
        self._num_pairs = 0

    def add(self, distances_P: Numbers, left_P: Numbers, right_P: Numbers) -> None:
        """Pairs of radiographs and the bits in which they differ."""
        self._parts_P3.append(np.stack([distances_P, left_P, right_P], axis=1))
        self._num_pairs += len(left_P)
        if self._num_pairs > 2 * self.most:
            self._parts_P3 = [self.sort()]
            self._num_pairs = self.most

    def sort(self) -> Numbers:
        """(P, 3): distance and both radiographs."""
        pairs_P3 = np.concatenate(self._parts_P3)
        return pairs_P3[np.lexsort(pairs_P3.T[::-1])[: self.most]]


def _find_same(pixels_N: Numbers, left: Numbers, right: Numbers, nearest: _Nearest) -> int:
    """Add the pairs with the same pixels, and count them all."""
    left, right = (side[np.argsort(pixels_N[side], kind="stable")] for side in (left, right))
    shared = np.intersect1d(pixels_N[left], pixels_N[right])
    bounds = (np.searchsorted(pixels_N[side], shared, edge) for side in (left, right) for edge in ("left", "right"))
    count = 0
    for start, end, other_start, other_end in zip(*bounds, strict=True):
        count += int((end - start) * (other_end - other_start))
        others = right[other_start:other_end]
        firsts = left[start:end][: -(-nearest.most // len(others))]
        num_pairs = len(firsts) * len(others)
        nearest.add(np.zeros(num_pairs, dtype=np.int64), np.repeat(firsts, len(others)), np.tile(others, len(firsts)))
    return count


def _find_near(found: _Numbered, left: Numbers, right: Numbers, nearest: _Nearest) -> int:
    """Add the near twins that differ in a pixel, and count them all."""
    count = 0
    for i_P, j_P, distances_P in near_pairs(found.hashes_NB[left], found.hashes_NB[right]):
        left_P, right_P = left[i_P], right[j_P]
        differ_P = found.pixels_N[left_P] != found.pixels_N[right_P]
        count += int(differ_P.sum())
        nearest.add(np.maximum(distances_P, 1)[differ_P], left_P[differ_P], right_P[differ_P])
    return count


def near_pairs(
    left_MB: npt.NDArray[np.uint8], right_MB: npt.NDArray[np.uint8]
) -> Iterator[tuple[Numbers, Numbers, Numbers]]:
    """Positions in both, and bits that differ, of the hashes that are near each other, block by block."""
    for start in range(0, len(left_MB), BLOCK):
        left_signs = _signs(left_MB[start : start + BLOCK])
        for other in range(0, len(right_MB), BLOCK):
            # Of signs, a product is the bits that agree less those that differ.
            products = left_signs @ _signs(right_MB[other : other + BLOCK]).T
            i_P, j_P = np.nonzero(products >= 8 * HASH_BYTES - 2 * MAX_DISTANCE)
            if len(i_P):
                distances_P = (8 * HASH_BYTES - products[i_P, j_P]) / 2
                yield start + i_P, other + j_P, distances_P.astype(np.int64)


def _signs(hashes_MB: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Bits as -1 and 1."""
    return np.unpackbits(hashes_MB, axis=1).astype(np.float32) * 2 - 1
