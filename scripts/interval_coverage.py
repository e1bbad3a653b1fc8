"""How often 95% intervals of AUROC and average precision hold the truth: BCa, percentile, DeLong; on drawn samples."""

from __future__ import annotations

import argparse

import numpy as np

from radspark.labels import LabelSet
from radspark.metrics import Bootstrap, Interval, Scored, auroc, average_precision, resample
from radspark.metrics.delong import auroc_variance, delong_interval

FINDING = LabelSet(("finding",))
SEPARATION = 1.2
"""Of two normal distributions of scores; AUROC 0.80."""


def draw(generator: np.random.Generator, num_patients: int, prevalence: float) -> tuple[np.ndarray, ...]:
    """One to five images of each patient, alike in label and in score."""
    patients = np.repeat(np.arange(num_patients), generator.integers(1, 6, num_patients))
    ill = generator.random(num_patients) < prevalence
    common = generator.normal(size=num_patients)
    scores = SEPARATION * ill[patients] + 0.6 * common[patients] + 0.8 * generator.normal(size=len(patients))
    return ill[patients].astype(float), 1 / (1 + np.exp(-scores)), patients


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    arguments = parser.parse_args()
    for prevalence in (0.03, 0.1, 0.3):
        labels, scores, _ = draw(np.random.default_rng(99), 200_000, prevalence)
        truth = {"auroc": auroc(labels, scores), "average_precision": average_precision(labels, scores)}
        held: dict[str, list[bool]] = {}
        for seed in range(arguments.samples):
            labels, scores, patients = draw(np.random.default_rng(seed), 300, prevalence)
            scored = Scored.of(labels[:, None], scores[:, None], FINDING, patients=patients)
            drawn = resample(scored, Bootstrap(resamples=500, seed=seed))
            for measure, value in truth.items():
                for kind in ("bca", "percentile"):
                    interval = drawn.interval(measure, 0, Bootstrap(resamples=500, kind=kind))
                    if isinstance(interval, Interval):
                        held.setdefault(f"{measure} {kind}", []).append(interval.low <= value <= interval.high)
            try:
                estimate, variance = auroc_variance(labels, scores, patients=patients)
            except ValueError:
                continue
            interval = delong_interval(float(estimate[0]), float(variance[0, 0]))
            held.setdefault("auroc delong", []).append(interval.low <= truth["auroc"] <= interval.high)
        print(
            f"300 patients, {prevalence:.0%} of them ill: "
            + ", ".join(f"{k} {np.mean(v):.3f}" for k, v in held.items())
        )


if __name__ == "__main__":
    main()
