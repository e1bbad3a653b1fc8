"""Arrow batches of files to batches of prepared radiographs: what runs in a Spark task that reads.

N files, S side of a prepared image. Each batch is decoded in a child process (`Isolation`), which writes pixels to
memory that it shares with the task.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql.types import FloatType, StringType, StructField, StructType

from radspark.errors import UnreadableImageError
from radspark.frames.column_settings import settings_metadata
from radspark.frames.image_schema import IMAGE_ARROW_TYPE, IMAGE_SCHEMA, images_to_arrow
from radspark.identifiers import Identifiers
from radspark.images import ImageLimits, Reading, read_file
from radspark.images.header import HEADER_FIELDS
from radspark.images.isolation import MEMORY, TIMEOUT, Isolation, Lost
from radspark.settings import PreparationSettings

ReadFile = Callable[..., Reading]
BATCH_BYTES: Final = 16 * 2**20
"""Pixels in one batch that goes back to Spark."""
_HEADER_TYPE: Final = pa.struct([(name, pa.float32() if name == "age" else pa.string()) for name in HEADER_FIELDS])
_READ_ARROW_SCHEMA: Final = pa.schema(
    [
        ("path", pa.string()),
        ("image", IMAGE_ARROW_TYPE),
        ("error", pa.string()),
        ("warning", pa.string()),
        ("header", _HEADER_TYPE),
    ]
)
ADDED_COLUMNS: Final = tuple(name for name in _READ_ARROW_SCHEMA.names if name != "path")


def read_schema(settings: PreparationSettings) -> StructType:
    """Columns of what is read, in Spark's words; the images carry the settings that they were prepared by."""
    text = StringType()
    header = [StructField(name, FloatType() if name == "age" else text) for name in HEADER_FIELDS]
    return StructType(
        [
            StructField("path", text),
            StructField("image", IMAGE_SCHEMA, metadata=settings_metadata(settings)),
            StructField("error", text),
            StructField("warning", text),
            StructField("header", StructType(header)),
        ]
    )


def prepare_batches(
    batches: Iterable[pa.RecordBatch],
    *,
    settings: PreparationSettings,
    limits: ImageLimits,
    identifiers: Identifiers,
    read: ReadFile = read_file,
) -> Iterator[pa.RecordBatch]:
    """Arrow batches of `path, length, content` to the columns of `read_schema`, in order.

    Args:
        read: decodes and prepares one file; runs isolated.
    """
    num_rows = max(1, BATCH_BYTES // settings.size**2)
    for batch in batches:
        for start in range(0, batch.num_rows, num_rows):
            part = batch.slice(start, num_rows)
            pixels_NSS, readings = prepare_contents(
                part, settings=settings, limits=limits, identifiers=identifiers, read=read
            )
            yield _to_batch(part.column("path"), pixels_NSS, readings)


def prepare_contents(
    files: pa.RecordBatch,
    *,
    settings: PreparationSettings,
    limits: ImageLimits,
    identifiers: Identifiers,
    read: ReadFile,
) -> tuple[npt.NDArray[np.uint8], list[Reading]]:
    """Decode and prepare N files, rows of `path, length, content`; one without content is opened, unless too long.

    Returns:
        uint8 (N, S, S), black where a file is unreadable; and for each file what was read of it, without its pixels.
    """
    paths, lengths, contents = files.columns
    num_files, side = len(paths), settings.size
    shared = np.frombuffer(mmap.mmap(-1, max(1, num_files * side * side)), dtype=np.uint8)
    pixels_NSS = shared[: num_files * side * side].reshape(num_files, side, side)

    def prepare(row: int) -> Reading:
        try:
            limits.check_bytes(lengths[row].as_py())
            content = contents[row].as_py()
            content = _open_local(paths[row].as_py(), limits) if content is None else content
        except UnreadableImageError as error:
            return Reading(error=str(error))
        reading = read(content, settings, limits=limits)
        if reading.pixels is not None:
            pixels_NSS[row] = reading.pixels
        header = None if reading.header is None else reading.header.pass_identifiers(identifiers)
        return replace(reading, pixels=None, header=header)

    isolation: Isolation[Reading] = Isolation(limits.max_seconds, limits.max_memory)
    readings = [_explain(result, limits) for result in isolation.run(prepare, num_files)]
    for row, reading in enumerate(readings):
        if reading.error is not None:
            pixels_NSS[row] = 0
    return pixels_NSS, readings


def _open_local(path: str, limits: ImageLimits) -> bytes:
    """The bytes of a file of this machine, one more than the limit at most."""
    try:
        with Path(path.removeprefix("file:")).open("rb") as file:
            # Told the limit alone, Python would allocate it for each file.
            return file.read(min(os.fstat(file.fileno()).st_size, limits.max_bytes) + 1)
    except OSError as error:
        raise UnreadableImageError(f"file that cannot be opened: {error.strerror}.") from error


def _explain(result: Reading | Lost, limits: ImageLimits) -> Reading:
    """A lost file as a row like any other."""
    if not isinstance(result, Lost):
        return result
    if result.reason == TIMEOUT:
        return Reading(error=f"decoding took longer than {limits.max_seconds:g} seconds (max_seconds).")
    if result.reason == MEMORY:
        return Reading(error=f"decoding took more than {limits.max_memory / 2**20:,.0f} MiB (max_memory).")
    return Reading(error=f"the decoder crashed ({result.reason}): the file is damaged, or made to do harm.")


def _to_batch(paths: pa.StringArray, pixels_NSS: npt.NDArray[np.uint8], readings: Sequence[Reading]) -> pa.RecordBatch:
    failed = np.array([reading.error is not None for reading in readings], dtype=np.bool_)
    warnings = [" ".join(_sentence(warning) for warning in reading.warnings) or None for reading in readings]
    headers = [None if reading.header is None else reading.header.to_dict() for reading in readings]
    columns = [
        paths,
        images_to_arrow(pixels_NSS, paths, failed),
        pa.array([reading.error for reading in readings], pa.string()),
        pa.array(warnings, pa.string()),
        pa.array(headers, _HEADER_TYPE),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_READ_ARROW_SCHEMA)


def _sentence(warning: str) -> str:
    return warning[:1].upper() + warning[1:]
