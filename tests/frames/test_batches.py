from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from radspark.frames.batches import prepare_batches
from radspark.frames.image_schema import arrow_to_images
from radspark.identifiers import Identifiers
from radspark.images import ImageLimits, Reading
from radspark.settings import PreparationSettings


def png(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (20, 20), grey).save(buffer, "PNG")
    return buffer.getvalue()


def prepare(files: list[tuple[str, int, bytes | None]], **options: object) -> pa.Table:
    """The prepared rows of `path, length, content`."""
    columns = [pa.array(column, kind) for column, kind in zip(zip(*files, strict=True), TYPES, strict=True)]
    batch = pa.RecordBatch.from_arrays(columns, ["path", "length", "content"])
    settings = {"settings": PreparationSettings(size=16), "limits": ImageLimits(), "identifiers": Identifiers("drop")}
    return pa.Table.from_batches(prepare_batches([batch], **{**settings, **options}))


TYPES = (pa.string(), pa.int64(), pa.binary())


def test_content_wins_over_the_path() -> None:
    rows = prepare([("file:/no/such.png", 1, png(7))])
    assert (arrow_to_images(rows["image"]) == 7).all()


def test_file_without_content_is_opened_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a%20b.png").write_bytes(png(9))
    rows = prepare([(f"file:{tmp_path}/a%20b.png", 1, None)])
    assert (arrow_to_images(rows["image"]) == 9).all()


def test_file_that_cannot_be_opened_is_an_error_without_its_name() -> None:
    rows = prepare([("file:/no/such.png", 1, None)])
    assert rows["error"].to_pylist() == ["file that cannot be opened: No such file or directory."]


def test_file_that_grew_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bytes(3000))
    rows = prepare([(f"file:{tmp_path}/a.png", 10, None)], limits=ImageLimits(max_bytes=2048))
    assert "the limit is 0.0 MiB (max_bytes)" in rows["error"][0].as_py()


def flood(content: bytes, settings: PreparationSettings, *, limits: ImageLimits) -> Reading:
    return Reading(np.ones((16, 16), np.uint8) * len(np.ones(2 * limits.max_memory, np.uint8)))


def test_memory_over_the_limit_is_an_error_of_its_row() -> None:
    rows = prepare([("file:/a.png", 1, b"x")], limits=ImageLimits(max_memory=2**27), read=flood)
    assert rows["error"].to_pylist() == ["decoding took more than 128 MiB (max_memory)."]
    assert rows["image"].null_count == 1


def test_several_warnings_are_sentences_of_one_column() -> None:
    reading = Reading(np.zeros((16, 16), np.uint8), warnings=("the first.", "the second."))
    rows = prepare([("file:/a.png", 1, b"x")], read=lambda *_, **__: reading)
    assert rows["warning"].to_pylist() == ["The first. The second."]
