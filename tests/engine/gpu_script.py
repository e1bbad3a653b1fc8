"""Asks two executors of three cores, each with a GPU by name alone, for workers, and prints what they get."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyspark import TaskContext

from radspark.engine.devices import GPU
from radspark.engine.jobs import worker_profile
from radspark.engine.slots import choose_num_workers, count_room
from radspark.frames import get_session
from radspark.settings import TrainingSettings


def tell_grants(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    context = TaskContext.get()
    assert context is not None
    for _ in batches:
        pass
    yield pa.RecordBatch.from_pydict({"granted": context.resources()[GPU].addresses})


def main() -> None:
    on_gpus = TrainingSettings(device="cuda")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "gpus")
        script.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["7"]}'\n""")
        script.chmod(0o755)
        conf = {
            "spark.worker.resource.gpu.amount": "1",
            "spark.worker.resource.gpu.discoveryScript": str(script),
            "spark.executor.resource.gpu.amount": "1",
        }
        spark = get_session(master="local-cluster[2,3,1024]", conf=conf)
        num_wide = choose_num_workers(spark, TrainingSettings(cores_per_worker=2))
        profile = worker_profile(spark, on_gpus)
        num_workers = count_room(spark, on_gpus, profile)
        tasks = spark.range(0, num_workers, 1, num_workers)
        rows = tasks.mapInArrow(tell_grants, "granted string", barrier=True, profile=profile).collect()
        granted = [row["granted"] for row in rows]
        print(json.dumps({"two cores each": num_wide, "a gpu each": num_workers, "granted": granted}))
        spark.stop()


if __name__ == "__main__":
    main()
