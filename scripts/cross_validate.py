"""Cross-validation by patient of several recipes on one data set, with intervals over patients.

Each recipe is trained on all folds but one, with no look at the held-out fold, and scored on it. Results of each fold
are kept in --out, so that a stopped run goes on where it was. Reported is the mean over folds of the mean AUROC over
findings, its 95% percentile interval from resampling patients within folds, and paired differences to the first recipe.

Run: python scripts/cross_validate.py --data-dir NIH --recipe a.toml --recipe b.toml --weights a.toml=FILE --out DIR
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyspark import StorageLevel
from pyspark.sql import functions as F

from radspark.cli.recipe_options import resolve_recipe
from radspark.datasets.reading import Source
from radspark.engine.observer import Observer
from radspark.frames import get_session
from radspark.metrics import evaluate_scores
from radspark.ml import XRayClassifier
from radspark.samples.join import load_samples

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from radspark.engine.history import EpochRecord
    from radspark.labels import LabelSet

RESAMPLES = 1000


class Lines(Observer):
    """A line for each epoch."""

    def epoch_ended(self, record: EpochRecord) -> None:
        print(
            f"  epoch {record.epoch} loss {record.train_loss:.4f} {record.images_per_second:.1f} images/s", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--recipe", type=Path, action="append", required=True)
    parser.add_argument("--weights", action="append", default=[], metavar="RECIPE=FILE")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    weights = dict(item.split("=", 1) for item in arguments.weights)

    spark = get_session()
    recipes = {
        path.stem: resolve_recipe(
            file=path,
            preset="default",
            flags={("model", "weights"): weights.get(path.name)},
            image_size=None,
            crop_size=None,
        )
        for path in arguments.recipe
    }
    loaded = load_samples(
        spark, Source("nih", arguments.data_dir), preparation=next(iter(recipes.values())).preparation
    )
    samples = loaded.frame.withColumn("fold", fold_of(F.col("patient_id"), arguments.folds))
    samples = samples.drop("split").persist(StorageLevel.DISK_ONLY)
    for name, recipe in recipes.items():
        for fold in range(arguments.folds):
            file = arguments.out / f"{name}-fold-{fold}.npz"
            if not file.exists():
                print(f"{name}, fold {fold + 1} of {arguments.folds}", flush=True)
                estimator = XRayClassifier(recipe=recipe, findings=list(loaded.labels), observers=[Lines()])
                model = estimator.fit(samples.where(F.col("fold") != fold))
                save_scores(model.transform(samples.where(F.col("fold") == fold)), file)
    report(arguments.out, list(recipes), arguments.folds, loaded.labels)


def fold_of(patient: Column, num_folds: int) -> Column:
    """Fold of a patient by hash: stable when data grows."""
    return F.pmod(F.conv(F.substring(F.sha2(patient, 256), 1, 8), 16, 10).cast("long"), F.lit(num_folds)).cast("int")


def save_scores(scored: DataFrame, file: Path) -> None:
    rows = (
        scored.where("probability is not null")
        .orderBy("image_id")
        .select("patient_id", "labels", "probability")
        .collect()
    )
    patients = [int(hashlib.sha256(row[0].encode()).hexdigest()[:15], 16) for row in rows]
    np.savez(
        file,
        patients=np.array(patients),
        labels=np.array([row[1] for row in rows], np.float32),
        probabilities=np.array([row[2] for row in rows], np.float32),
    )


def report(folder: Path, names: list[str], num_folds: int, labels: LabelSet) -> None:
    folds = {name: [dict(np.load(folder / f"{name}-fold-{fold}.npz")) for fold in range(num_folds)] for name in names}
    generator = np.random.default_rng(0)
    draws = np.array([resample(folds, names, labels, generator) for _ in range(RESAMPLES)])
    results = {}
    for column, name in enumerate(names):
        point = float(np.mean([mean_auroc(fold, slice(None), labels) for fold in folds[name]]))
        low, high = np.percentile(draws[:, column], [2.5, 97.5])
        d_low, d_high = np.percentile(draws[:, column] - draws[:, 0], [2.5, 97.5])
        results[name] = {"mean_auroc": point, "ci": [low, high], "difference_to_first_ci": [d_low, d_high]}
        print(f"{name}: mean AUROC {point:.3f} [{low:.3f}, {high:.3f}], minus {names[0]} [{d_low:+.3f}, {d_high:+.3f}]")
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")


def resample(folds: dict, names: list[str], labels: LabelSet, generator: np.random.Generator) -> list[float]:
    """One draw of patients, with replacement and within folds, the same for all recipes."""
    values: dict[str, list[float]] = {name: [] for name in names}
    for number, fold in enumerate(folds[names[0]]):
        patients, index = np.unique(fold["patients"], return_inverse=True)
        rows_of = [np.flatnonzero(index == i) for i in range(len(patients))]
        rows = np.concatenate([rows_of[i] for i in generator.integers(0, len(patients), len(patients))])
        for name in names:
            values[name].append(mean_auroc(folds[name][number], rows, labels))
    return [float(np.mean(values[name])) for name in names]


def mean_auroc(fold: dict[str, np.ndarray], rows: np.ndarray | slice, labels: LabelSet) -> float:
    evaluation = evaluate_scores(fold["labels"][rows], fold["probabilities"][rows], labels)
    assert evaluation.mean_auroc is not None, "a fold has positives of some finding"
    return evaluation.mean_auroc


if __name__ == "__main__":
    main()
