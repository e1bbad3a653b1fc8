"""Reads a prepared set: bare (pyarrow, one thread), through Spark, and beside it the PNGs that it was made of (Pillow).

    python benchmarks/bench_prepared.py --data-dir nih-256 --out prepared [--rounds 3]

The set is prepared unless it is there. Rates are samples per second of the whole process, in interleaved rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from radspark.datasets.reading import Source
from radspark.frames import get_session
from radspark.frames.image_schema import arrow_to_images
from radspark.samples.prepare import prepare_samples
from radspark.samples.prepared_set import open_prepared


def main() -> None:
    """Prepare, then time the three ways round by round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    spark = get_session(master="local[1]")
    if not (arguments.out / "manifest").exists():
        start = time.perf_counter()
        manifest = prepare_samples(spark, Source("nih", arguments.data_dir), str(arguments.out))
        print(f"prepared {manifest.num_samples} samples in {time.perf_counter() - start:.1f} s (one core, PNG of 256)")
    files = sorted((arguments.out / "samples").rglob("*.parquet"))
    size = sum(file.stat().st_size for file in files)
    frame = open_prepared(spark, str(arguments.out)).frame
    pngs = sorted(arguments.data_dir.glob("images*/**/*.png"))
    ways: dict[str, Callable[[], int]] = {
        "bare pyarrow": lambda: sum(read_bare(file) for file in files),
        "through Spark": lambda: frame.select("image").mapInArrow(count_pixels, "n long").groupBy().sum("n").first()[0],
        "PNGs by Pillow": lambda: sum(np.asarray(Image.open(file).convert("L")).shape[0] == 256 for file in pngs),
    }
    num_samples = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    print(f"{num_samples} samples in {size / 2**20:.0f} MiB of Parquet ({size / num_samples / 1024:.1f} KiB each)")
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, read in ways.items():
            start = time.perf_counter()
            assert read() == (len(pngs) if name.startswith("PNG") else num_samples)
            rates[name].append((len(pngs) if name.startswith("PNG") else num_samples) / (time.perf_counter() - start))
    for name, values in rates.items():
        ratios = [value / peer for value, peer in zip(values, rates["PNGs by Pillow"], strict=True)]
        print(
            f"{name:15} {statistics.median(values):8.0f} samples/s   "
            f"{statistics.median(ratios):5.2f} x Pillow   ({', '.join(f'{value:.0f}' for value in values)})"
        )


def read_bare(file: Path) -> int:
    """Rows of one file, with all pixels as one array."""
    images_NSS = arrow_to_images(pq.read_table(file, columns=["image"], use_threads=False)["image"])
    return len(images_NSS)


def count_pixels(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of each batch, with all pixels as one array."""
    for batch in batches:
        if batch.num_rows:
            yield pa.RecordBatch.from_pydict({"n": [len(arrow_to_images(batch.column("image")))]})


if __name__ == "__main__":
    main()
