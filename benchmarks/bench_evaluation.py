"""Evaluation measured: bootstrap over patients against a scikit-learn loop, and Spark's tally of 10 million rows."""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import psutil
from sklearn.metrics import roc_auc_score

from radspark.labels import NIH_FINDINGS
from radspark.metrics import Bootstrap, evaluate_scores

LOOP_RESAMPLES = 10
"""Of scikit-learn's 2,000: its loop takes minutes, and every resample the same time."""


def bench_bootstrap(golden: Path, rounds: int) -> None:
    """2,000 resamples of every measure, against AUROC alone by scikit-learn; interleaved."""
    run = np.load(golden)
    labels, patients = run["test_labels"], run["test_patient"]
    scores = 1 / (1 + np.exp(-run["test_logits"].astype(np.float64)))
    owners, first = np.unique(patients, return_inverse=True)
    images = [np.flatnonzero(first == patient) for patient in range(len(owners))]
    for _ in range(rounds):
        start = time.perf_counter()
        evaluate_scores(labels, scores, NIH_FINDINGS, patients=patients, bootstrap=Bootstrap())
        ours = time.perf_counter() - start
        start = time.perf_counter()
        generator = np.random.default_rng(0)
        for _ in range(LOOP_RESAMPLES):
            rows = np.concatenate([images[patient] for patient in generator.integers(0, len(owners), len(owners))])
            for column in range(labels.shape[1]):
                roc_auc_score(labels[rows, column], scores[rows, column])
        theirs = (time.perf_counter() - start) * 2000 / LOOP_RESAMPLES
        print(
            f"{len(labels):,} x {labels.shape[1]}: radspark {ours:.1f} s, scikit-learn {theirs:.0f} s, "
            f"ratio {theirs / ours:.0f}"
        )


def bench_tally(num_rows: int) -> None:
    """Distinct scores made up on the executors; the driver's peak memory."""
    from radspark.frames.session import get_session
    from radspark.ml.large_evaluation import evaluate_at_scale

    spark = get_session(master="local[2]", app_name="bench-evaluation")
    rows = spark.range(num_rows, numPartitions=max(num_rows // 250_000, 2)).mapInArrow(
        make_scores, "labels array<float>, probability array<double>"
    )
    start = time.perf_counter()
    rows.write.format("noop").mode("overwrite").save()
    making = time.perf_counter() - start
    start = time.perf_counter()
    tallied = evaluate_at_scale(rows, NIH_FINDINGS)
    seconds = time.perf_counter() - start
    widest = {
        measure: max(bounds[measure].high - bounds[measure].low for bounds in tallied.bounds.values())
        for measure in ("auroc", "average_precision")
    }
    java = next(child for child in psutil.Process().children(recursive=True) if "java" in child.name())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    status = Path(f"/proc/{java.pid}/status").read_text()
    java_peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    print(f"{tallied.evaluation.num_samples:,} x 14: {seconds:.0f} s, of which making the scores takes {making:.0f} s")
    print(f"driver's peak: Python {peak:.0f} MiB, Java (driver and executor in one) {java_peak:.0f} MiB")
    print(f"widest bounds: AUROC {widest['auroc']:.1e}, average precision {widest['average_precision']:.1e}")
    spark.stop()


def make_scores(batches):
    """Labels of 0.2% to 18% prevalence, and scores that tell them apart."""
    import pyarrow as pa

    prevalence = np.geomspace(0.002, 0.18, 14)
    for batch in batches:
        ids = batch.column(0).to_numpy()
        generator = np.random.default_rng(int(ids[0]))
        labels = generator.random((len(ids), 14)) < prevalence
        logits = generator.normal(size=labels.shape) + 1.5 * labels + np.log(prevalence)
        ends = np.arange(0, labels.size + 1, 14, dtype=np.int32)
        columns = [
            pa.ListArray.from_arrays(ends, values.ravel())
            for values in (labels.astype(np.float32), 1 / (1 + np.exp(-logits)))
        ]
        yield pa.RecordBatch.from_arrays(columns, names=["labels", "probability"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--golden", type=Path, help="an .npz of test_labels, test_logits and test_patient")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="rows for Spark to tally")
    arguments = parser.parse_args()
    if arguments.golden:
        bench_bootstrap(arguments.golden, arguments.rounds)
    if arguments.rows:
        bench_tally(arguments.rows)


if __name__ == "__main__":
    main()
