"""Copies are found under any name; different radiographs are not taken for copies."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from radspark.frames.image_schema import IMAGE_SCHEMA
from radspark.samples.duplicates import (
    MAX_DISTANCE,
    compare_pixels,
    find_pixel_leak,
    hash_images,
    near_pairs,
    perceptual_hashes,
)

SIDE = 64


def textures(num, seed=0):
    """Smooth random images, as different as can be."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (num, 16, 16), dtype=np.uint8)
    return [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for image in small]


def compressed(image):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=50)
    return Image.open(data)


def hash_of(image):
    return perceptual_hashes(np.asarray(image, dtype=np.uint8)[None])[0]


def distance(left, right):
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).bit_count()


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((48, 48), Image.Resampling.BILINEAR),
        compressed,
        lambda image: image.point(lambda value: min(255, value + 10)),
    ],
    ids=["resized", "compressed", "brightened"],
)
def test_changed_copies_are_near_and_others_far(change):
    images = textures(8)
    for position, image in enumerate(images):
        copy = hash_of(change(image))
        distances = [distance(copy, hash_of(other)) for other in images]
        assert distances[position] <= MAX_DISTANCE < min(distances[:position] + distances[position + 1 :])


def test_image_without_structure_has_no_hash():
    assert perceptual_hashes(np.full((2, SIDE, SIDE), 90, dtype=np.uint8)) == [None, None]


@given(
    st.lists(st.binary(min_size=32, max_size=32), max_size=6), st.lists(st.binary(min_size=32, max_size=32), max_size=6)
)
def test_products_of_signs_count_the_bits_that_differ(left, right):
    left, right = [*left, b"\0" * 32], [*right, b"\0" * 31 + b"\x07"]
    expected = {
        (i, j, distance(a, b))
        for i, a in enumerate(left)
        for j, b in enumerate(right)
        if distance(a, b) <= MAX_DISTANCE
    }
    stacked = (np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, 32) for hashes in (left, right))
    assert {pair for block in near_pairs(*stacked) for pair in zip(*block, strict=True)} == expected


HASHES = [None, b"\0" * 32, b"\0" * 31 + b"\7", b"\0" * 30 + b"\xff" * 2, b"\xff" * 32]
RADIOGRAPHS = st.tuples(st.sampled_from(["test", "train", "validation"]), st.integers(0, 3), st.sampled_from(HASHES))


@given(st.lists(RADIOGRAPHS, max_size=8), st.integers(1, 6))
def test_all_pairs_are_counted_and_the_nearest_named(radiographs, max_pairs):
    names = [f"{9 - i}.png" for i in range(len(radiographs))]
    rows = list(zip(names, radiographs, strict=True))
    pairs = []
    for (path, (split, pixels, value)), (other, (other_split, other_pixels, other_value)) in product(rows, rows):
        bits = distance(value, other_value) if value and other_value else MAX_DISTANCE + 1
        if split < other_split and (pixels == other_pixels or bits <= MAX_DISTANCE):
            pairs.append((0 if pixels == other_pixels else max(1, bits), path, other))
    splits, pixels, hashes = ([row[i] for row in radiographs] for i in range(3))
    table = {"path": pa.array(names, pa.string()), "split": pa.array(splits, pa.string())}
    table |= {"pixels": pa.array(pixels, pa.int64()), "hash": pa.array(hashes, pa.binary())}
    leak = compare_pixels(pa.table(table), max_pairs=max_pairs)
    assert (leak.num_exact, leak.num_pairs) == (sum(not pair[0] for pair in pairs), len(pairs))
    assert [(twins.distance, twins.path, twins.other_path) for twins in leak.pairs] == sorted(pairs)[:max_pairs]


@pytest.mark.spark
def test_leak_counts_same_pixels_and_near_twins_across_splits_only(spark):
    first, second, third, fourth = textures(4)
    rows = [
        ("a", "train", first),
        ("b", "test", first),
        ("c", "train", second),
        ("d", "validation", compressed(second)),
        ("e", "train", third),
        ("f", "train", third),
        ("g", "test", fourth),
        ("h", None, fourth),
        ("i", "test", None),
    ]
    frame = spark.createDataFrame(
        [(path, split, image and ("", SIDE, SIDE, 1, 0, image.convert("L").tobytes())) for path, split, image in rows],
        f"path string, split string, image {IMAGE_SCHEMA.simpleString()}",
    )
    leak = find_pixel_leak(hash_images(frame))
    assert (leak.num_exact, leak.num_near) == (1, 1)
    assert [(twins.path, twins.other_path) for twins in leak.pairs] == [("b", "a"), ("c", "d")]
    assert leak.pairs[0].distance == 0 < leak.pairs[1].distance <= MAX_DISTANCE
