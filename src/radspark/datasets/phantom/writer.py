"""The phantom data set on disk, in the layout of NIH ChestX-ray14; what is drawn is decided elsewhere."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed
from PIL import Image, PngImagePlugin

from radspark.datasets.phantom.cohort import PlannedImage, plan_cohort
from radspark.datasets.phantom.dicom import NOTICE, encode_dicom
from radspark.datasets.phantom.lesion import Box
from radspark.datasets.phantom.mark import MARK
from radspark.datasets.phantom.render import Drawing, render
from radspark.errors import ArgumentError, DataError, SetupError
from radspark.labels import NIH_FINDINGS

LABEL_TABLE = "Data_Entry_2017_v2020.csv"
BOX_TABLE = "BBox_List_2017.csv"
TRAIN_VAL_LIST, TEST_LIST = "train_val_list.txt", "test_list.txt"
LABEL_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_FRAME = 1024
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
FORMAT_VERSION = 1
IMAGE_NAME = re.compile(r"\d{8}_\d{3}\.(png|dcm)")


@dataclass(frozen=True)
class PhantomSummary:
    """Counts of what was written."""

    num_images: int
    num_patients: int
    num_train_val: int
    num_test: int
    num_dicom: int
    """Images that are DICOM files instead of PNG."""
    num_boxes: int
    num_positives: dict[str, int]
    """Images that show each finding."""
    num_no_finding: int


@dataclass(frozen=True)
class _Written:
    """What the tables need to know of one drawn image."""

    boxes: tuple[tuple[str, Box], ...]
    mm_per_pixel: float


def write_phantom_dataset(
    out: Path,
    *,
    num_images: int,
    seed: int,
    size: int = 512,
    dicom_share: float = 0.1,
    test_share: float = 0.2,
    num_workers: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> PhantomSummary:
    """Draw radiographs and write them as an NIH ChestX-ray14 folder.

    Equal arguments give equal bytes on any number of processes (same versions of numpy, scipy, Pillow and pydicom).
    `BBox_List_2017.csv` holds pixels of a 1024 x 1024 image, as NIH's, whatever `size`. Findings there are named as in
    the label table, so `Infiltration` where NIH's boxes say `Infiltrate`. An image that is written as DICOM has no PNG.

    Args:
        out: a new or empty folder, or an earlier phantom, which is replaced.
        num_images: over all patients.
        seed: at least 0.
        size: side of the images in pixels, 64 to 4096.
        dicom_share: share of images written to `dicom/` instead of `images/`.
        test_share: share of images whose patients stand in the test list.
        num_workers: processes that draw; None takes one per core.
        on_progress: called with the number of images written so far.

    Raises:
        ArgumentError: an argument is out of its range.
        DataError: `out` holds something else.
        SetupError: `out` cannot be written.
    """
    _require_at_least(1, num_images=num_images, num_workers=num_workers)
    _require_at_least(0, seed=seed)
    _require_share(dicom_share=dicom_share, test_share=test_share)
    if not 64 <= size <= 4096:
        raise ArgumentError(f"size must be between 64 and 4096 pixels, got {size}.")
    _check_folder(out)
    planned = plan_cohort(num_images, seed=seed, test_share=test_share, dicom_share=dicom_share)
    arguments = {"num_images": num_images, "seed": seed, "size": size, "dicom_share": dicom_share}
    try:
        _start_folder(out, {**arguments, "test_share": test_share})
        written = _draw_all(out, planned, seed=seed, size=size, num_workers=num_workers, on_progress=on_progress)
        _write_tables(out, planned, written, size=size)
    except OSError as error:
        raise SetupError(
            f"cannot write the phantom to {out}: {error.strerror or error}; choose another folder."
        ) from error
    return _summarize(planned, written)


def _require_at_least(least: int, **values: int | None) -> None:
    for name, value in values.items():
        if value is not None and value < least:
            raise ArgumentError(f"{name} must be at least {least}, got {value}.")


def _require_share(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise ArgumentError(f"{name} must be between 0 and 1, got {value}.")


def _check_folder(out: Path) -> None:
    if out.is_file():
        raise DataError(f"{out} is a file; give a new folder for the phantom.")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise DataError(f"{out} is not empty and holds no earlier phantom ({MARK}); give a new or empty folder.")


def _start_folder(out: Path, arguments: dict[str, float]) -> None:
    """Clear an earlier phantom's images, then say what this folder is before the first image stands in it."""
    for name in ("images", "dicom"):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if IMAGE_NAME.fullmatch(old.name):
                old.unlink()
    (out / MARK).write_text(json.dumps({"format_version": FORMAT_VERSION, **arguments}, indent=2) + "\n")
    (out / "README.md").write_text(
        f"# Synthetic radiographs\n\n{NOTICE}\n\nMade by `radspark data phantom`; `{MARK}` holds the arguments. "
        "The layout is that of NIH ChestX-ray14, but no image, label or patient comes from it. "
        f"`{BOX_TABLE}` is in pixels of these images.\n"
    )


def _draw_all(
    out: Path,
    planned: list[PlannedImage],
    *,
    seed: int,
    size: int,
    num_workers: int | None,
    on_progress: Callable[[int], None] | None,
) -> list[_Written]:
    num_processes = min(num_workers or cpu_count(), len(planned))
    tasks = (delayed(_write_image)(image, out, seed=seed, size=size) for image in planned)
    # Drawing is one thread's work, so numpy's own threads would only compete.
    results: Iterable[_Written] = Parallel(n_jobs=num_processes, return_as="generator", inner_max_num_threads=1)(tasks)
    written = []
    for item in results:
        written.append(item)
        if on_progress:
            on_progress(len(written))
    return written


def _write_image(image: PlannedImage, out: Path, *, seed: int, size: int) -> _Written:
    """Draw one image and write its file; runs in a process of its own."""
    drawing = render(image, seed=seed, size=size)
    if image.is_dicom:
        (out / "dicom" / f"{image.stem}.dcm").write_bytes(encode_dicom(drawing, image, seed=seed))
    else:
        (out / "images" / f"{image.stem}.png").write_bytes(encode_png(drawing))
    return _Written(drawing.boxes, drawing.mm_per_pixel)


def encode_png(drawing: Drawing) -> bytes:
    """8-bit grey PNG whose text says that it is synthetic."""
    text = PngImagePlugin.PngInfo()
    for key, value in (("Title", "Synthetic chest radiograph"), ("Description", NOTICE), ("Software", "radspark")):
        text.add_text(key, value)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(drawing.grey * 255).astype(np.uint8)).save(buffer, "PNG", pnginfo=text, compress_level=3)
    return buffer.getvalue()


def _write_tables(out: Path, planned: list[PlannedImage], written: list[_Written], *, size: int) -> None:
    rows, boxes = [LABEL_HEADER], [BOX_HEADER]
    for image, drawn in zip(planned, written, strict=True):
        name, labels = f"{image.stem}.png", "|".join(image.findings) or "No Finding"
        spacing = f"{drawn.mm_per_pixel:.4f}"
        person = f"{image.patient_id},{image.age},{image.physique.sex},{image.view}"
        rows.append(f"{name},{labels},{image.follow_up},{person},{size},{size},{spacing},{spacing}")
        for finding, box in drawn.boxes:
            places = (BOX_FRAME / size * value for value in (box.x, box.y, box.width, box.height))
            boxes.append(f"{name},{finding}," + ",".join(f"{place:.1f}" for place in places))
    (out / LABEL_TABLE).write_text("\n".join(rows) + "\n")
    (out / BOX_TABLE).write_text("\n".join(boxes) + "\n")
    for name, is_test in ((TRAIN_VAL_LIST, False), (TEST_LIST, True)):
        (out / name).write_text("\n".join(f"{image.stem}.png" for image in planned if image.is_test == is_test))


def _summarize(planned: list[PlannedImage], written: list[_Written]) -> PhantomSummary:
    return PhantomSummary(
        num_images=len(planned),
        num_patients=len({image.patient_id for image in planned}),
        num_train_val=sum(not image.is_test for image in planned),
        num_test=sum(image.is_test for image in planned),
        num_dicom=sum(image.is_dicom for image in planned),
        num_boxes=sum(len(drawn.boxes) for drawn in written),
        num_positives={name: sum(name in image.findings for image in planned) for name in NIH_FINDINGS},
        num_no_finding=sum(not image.findings for image in planned),
    )
