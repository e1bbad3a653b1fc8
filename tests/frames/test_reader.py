from __future__ import annotations

import ctypes
import functools
import io
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from radspark.errors import DataError
from radspark.frames import read_images
from radspark.frames.batches import prepare_batches, read_schema
from radspark.frames.files import open_files
from radspark.frames.image_schema import arrow_to_images
from radspark.identifiers import KEY_VARIABLE, Identifiers
from radspark.images import ImageLimits, Reading, read_file, read_radiograph
from radspark.settings import PreparationSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark


def png(grey: int, side: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (side, side), grey).save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def name_of(path: str) -> str:
    return path.rsplit("/", 1)[1]


def errors_of(images: DataFrame) -> dict[str, str | None]:
    rows = images.selectExpr("path", "error", "image is null as missing").collect()
    assert all(row.missing == (row.error is not None) for row in rows)
    return {name_of(row.path): row.error for row in rows}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of grey 0, 20, ... 220, three of them in a folder below."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "below").mkdir()
    for i in range(12):
        (folder / ("below" if i >= 9 else ".") / f"{i:02d}.png").write_bytes(png(20 * i))
    return folder


def test_uniform_images_keep_their_grey(spark: SparkSession, folder: Path) -> None:
    table = read_images(spark, str(folder), size=32).toArrow()
    pixels = arrow_to_images(table.column("image"))
    greys = {name_of(path): image for path, image in zip(table.column("path").to_pylist(), pixels, strict=True)}
    assert all((greys[f"{i:02d}.png"] == 20 * i).all() for i in range(12))
    assert pixels.shape == (12, 32, 32)


def test_origin_is_the_path(spark: SparkSession, folder: Path) -> None:
    row = read_images(spark, str(folder / "03.png")).head()
    assert (row.image.origin, row.image.height, row.image.nChannels, row.image.mode) == (row.path, 256, 1, 0)


@pytest.mark.parametrize(
    ("sources", "count"), [(["*.png"], 9), (["0[1-3].png", "below"], 6), (["{00,11,below/11}.png"], 2), (["."], 12)]
)
def test_globs_folders_and_lists_are_read(spark: SparkSession, folder: Path, sources: list[str], count: int) -> None:
    paths = [f"{folder}/{source}" for source in sources]
    assert read_images(spark, paths if len(paths) > 1 else paths[0]).count() == count


def test_bad_files_are_rows_with_their_reason(spark: SparkSession, tmp_path: Path) -> None:
    files = {
        "good.png": png(1),
        "bomb.png": bomb(),
        "cut.png": png(1)[:-20],
        "empty.png": b"",
        "text.png": b"Finding Labels,Age\n",
        "long.png": bytes(3 * 2**20),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    errors = errors_of(read_images(spark, str(tmp_path), limits=ImageLimits(max_bytes=2**20)))
    assert errors.pop("good.png") is None
    assert errors == {
        "bomb.png": "image of 60000 x 60000 pixels; the limits are 50 million pixels (max_pixels) and 30000 on a side "
        "(max_side).",
        "cut.png": "PNG cut short: the file is truncated.",
        "empty.png": "empty file: it has 0 bytes.",
        "text.png": "not a radiograph: the file is text; formats that are read: PNG, JPEG, DICOM.",
        "long.png": "file of 3.0 MiB; the limit is 1.0 MiB (max_bytes).",
    }


NAMES = [
    "b, c.png",
    "d e.png",
    "f[1].png",
    "g{x,y}.png",
    "h%20i.png",
    "j\nk.png",
    "j*.png",
    "ü.png",
    "q#r.png",
    "s?t.png",
    "k\\l.png",
]


def test_odd_names_are_read_from_a_folder_and_one_by_one(spark: SparkSession, tmp_path: Path) -> None:
    odd = tmp_path / "odd [2020]"
    odd.mkdir()
    for name in NAMES:
        (odd / name).write_bytes(png(3))
    expected = dict.fromkeys(NAMES)
    assert errors_of(read_images(spark, str(odd))) == expected
    assert errors_of(read_images(spark, [str(odd / name) for name in NAMES])) == expected
    table = spark.createDataFrame([(str(odd / name),) for name in NAMES], "path string")
    assert errors_of(read_images(spark, table)) == expected


def test_file_of_no_bytes_is_a_row_whatever_the_source(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("nothing [1] %20.png", "none.png"):
        (tmp_path / name).touch()
    expected = dict.fromkeys(["nothing [1] %20.png", "none.png"], "empty file: it has 0 bytes.")
    table = spark.createDataFrame([(str(tmp_path / name),) for name in expected], "path string")
    assert errors_of(read_images(spark, str(tmp_path))) == expected
    assert errors_of(read_images(spark, table, num_partitions=1)) == expected


def test_colon_that_hadoop_cannot_open_is_read(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "12:30.png").write_bytes(png(3))
    assert errors_of(read_images(spark, str(tmp_path))) == {"12:30.png": None}


def crash(content: bytes, settings: PreparationSettings, *, limits: ImageLimits) -> Reading:
    """Reads as ever, but one file's bytes crash the decoder, and another's never let it go."""
    if content == b"crash":
        ctypes.string_at(0)
    if content == b"hang":
        time.sleep(600)
    return read_file(content, settings, limits=limits)


def test_segmentation_fault_or_hang_of_a_decoder_costs_its_file_only(spark: SparkSession, tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / f"{i:02d}.png").write_bytes({3: b"crash", 11: b"hang"}.get(i, png(20)))
    prepare = functools.partial(
        prepare_batches,
        settings=PreparationSettings(size=16),
        limits=ImageLimits(max_seconds=2),
        identifiers=Identifiers("drop"),
        read=crash,
    )
    files = open_files(spark, [str(tmp_path)]).select("path", "length", "content")
    errors = errors_of(files.mapInArrow(prepare, read_schema(PreparationSettings(size=16))))
    assert errors.pop("03.png") == "the decoder crashed (SIGSEGV): the file is damaged, or made to do harm."
    assert errors.pop("11.png") == "decoding took longer than 2 seconds (max_seconds)."
    assert list(errors.values()) == [None] * 18


def dicom(**elements: object) -> bytes:
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 64, 64, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = pixels.tobytes()
    for name, value in {"PatientID": "P-17", "Modality": "DX", "ViewPosition": "PA", **elements}.items():
        setattr(dataset, name, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("identifiers", ["drop", "hash", "keep"])
def test_header_of_a_dicom_is_a_column_with_its_identifiers_by_policy(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identifiers: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "ab" * 32)
    (tmp_path / "a.dcm").write_bytes(dicom(PatientAge="058Y", PresentationIntentType="FOR PROCESSING"))
    (tmp_path / "b.png").write_bytes(png(3))
    rows = {name_of(row.path): row for row in read_images(spark, str(tmp_path), identifiers=identifiers).collect()}
    assert rows["b.png"].header is None
    header = rows["a.dcm"].header
    assert (header.modality, header.view, header.age) == ("DX", "PA", 58.0)
    expected = {"drop": None, "hash": Identifiers("hash", b"\xab" * 32)("P-17"), "keep": "P-17"}
    assert header.patient_id == expected[identifiers]
    assert rows["a.dcm"].warning.startswith("The DICOM image is FOR PROCESSING")


def test_header_of_what_is_refused_is_there(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom(Modality="CT"))
    row = read_images(spark, str(tmp_path)).head()
    assert (row.image, row.header.modality) == (None, "CT")
    assert row.error == "DICOM of modality CT; a radiograph is CR, DX, RG or DR."


@pytest.mark.parametrize("num_partitions", [1, 2, 5, 20])
def test_partitions_asked_for_are_used(spark: SparkSession, folder: Path, num_partitions: int) -> None:
    images = read_images(spark, str(folder), num_partitions=num_partitions)
    assert images.rdd.getNumPartitions() == num_partitions
    assert images.count() == 12


def test_partitions_asked_for_are_used_with_a_table(spark: SparkSession, folder: Path) -> None:
    table = spark.createDataFrame([(f"{folder}/0{i}.png",) for i in range(6)], "path string")
    images = read_images(spark, table, num_partitions=3)
    assert (images.rdd.getNumPartitions(), images.count()) == (3, 6)


def add_process(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"pid": [os.getpid()] * batch.num_rows})


def test_two_processes_read_and_neither_is_the_driver(spark: SparkSession, folder: Path) -> None:
    images = read_images(spark, str(folder), num_partitions=2)
    pids = {row.pid for row in images.mapInArrow(add_process, "pid long").collect()}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_rows_and_columns_of_a_table_are_kept(spark: SparkSession, folder: Path) -> None:
    first = f"{folder}/01.png"
    rows = [(1, first), (2, f"file:{first}"), (3, first), (4, None), (5, f"{folder}/no.png"), (6, "/no/folder/x.png")]
    table = spark.createDataFrame(rows, "key int, file string")
    images = read_images(spark, table, path_column="file")
    assert images.columns == ["key", "file", "image", "error", "warning", "header"]
    seen = {row.key: (row.file, row.image and row.image.data[0], row.error) for row in images.collect()}
    assert {key: (file, error) for key, (file, _, error) in seen.items()} == {
        key: (file, {4: "no path is given.", 5: "file not found.", 6: "file not found."}.get(key)) for key, file in rows
    }
    assert [seen[key][1] for key in range(1, 7)] == [20, 20, 20, None, None, None]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("empty", "no file was found in .*empty; is it the folder of the images"),
        ("nowhere", "nowhere does not exist"),
        ("*.jpg", "does not exist"),
    ],
)
def test_nothing_to_read_is_one_sentence(spark: SparkSession, tmp_path: Path, source: str, reason: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=reason):
        read_images(spark, str(tmp_path / source))


def test_unknown_file_system_is_one_sentence(spark: SparkSession) -> None:
    with pytest.raises(DataError, match='No FileSystem for scheme "nowhere"'):
        read_images(spark, "nowhere://bucket/images")


@pytest.mark.parametrize(
    ("path", "error", "reason"),
    [
        ("/no/folder/x.png", DataError, "none of the 1 paths in column 'path' names a file, such as /no/folder/x.png"),
        ("images/x.png", DataError, "must be absolute or URIs, got 'images/x.png'"),
    ],
)
def test_table_that_names_no_file_is_an_error(spark: SparkSession, path: str, error: type, reason: str) -> None:
    with pytest.raises(error, match=reason):
        read_images(spark, spark.createDataFrame([(path,)], "path string"))


def test_wrong_arguments_are_named(spark: SparkSession, folder: Path) -> None:
    with pytest.raises(ValueError, match="num_partitions must be at least 1, got 0"):
        read_images(spark, str(folder), num_partitions=0)
    with pytest.raises(ValueError, match="size must be settings"):
        read_images(spark, str(folder), size=64, settings=PreparationSettings(size=32))
    with pytest.raises(ValueError, match=r"path_column must be a column of the table \(id\)"):
        read_images(spark, spark.range(1))
    with pytest.raises(ValueError, match="must not have a column 'error'"):
        read_images(spark, spark.createDataFrame([("a", "b")], "path string, error string"))


@pytest.mark.data
def test_real_files_equal_what_one_process_reads(spark: SparkSession, shared_data: Path) -> None:
    settings = PreparationSettings(size=64, aspect="pad")
    sources = [f"{shared_data}/nih-1024/images/0000*.png", f"{shared_data}/nih-1024/dicom/0000*.dcm"]
    table = read_images(spark, sources, settings=settings).toArrow()
    paths = [Path(path.removeprefix("file:")) for path in table.column("path").to_pylist()]
    for path, pixels in zip(paths, arrow_to_images(table.column("image")), strict=True):
        np.testing.assert_array_equal(pixels, read_radiograph(path.read_bytes(), settings))
    assert {path.suffix for path in paths} == {".png", ".dcm"}
