"""Copies are found under any name; different radiographs are not taken for copies."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from radspark.frames.image_schema import IMAGE_SCHEMA
from radspark.samples.duplicates import MAX_DISTANCE, _near_pairs, find_pixel_leak, hash_images, perceptual_hashes

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
    left = [*left, b"\0" * 32, None]
    right = [*right, b"\0" * 31 + b"\x07"]
    expected = {
        (i, j, distance(a, b))
        for i, a in enumerate(left)
        for j, b in enumerate(right)
        if a is not None and distance(a, b) <= MAX_DISTANCE
    }
    assert set(_near_pairs(left, right)) == expected


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
    ]
    frame = spark.createDataFrame(
        [(path, split, ("", SIDE, SIDE, 1, 0, image.convert("L").tobytes())) for path, split, image in rows],
        f"path string, split string, image {IMAGE_SCHEMA.simpleString()}",
    )
    leak = find_pixel_leak(hash_images(frame))
    assert (leak.num_exact, leak.num_near) == (1, 1)
    assert [(twins.path, twins.other_path) for twins in leak.pairs] == [("b", "a"), ("c", "d")]
    assert leak.pairs[0].distance == 0 < leak.pairs[1].distance <= MAX_DISTANCE
