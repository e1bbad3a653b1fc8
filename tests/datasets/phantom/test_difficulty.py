"""The phantom is not trivial: a linear model on thumbnails does not find the findings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from radspark.datasets.phantom import write_phantom_dataset
from radspark.datasets.phantom.cohort import plan_cohort
from radspark.labels import NIH_FINDINGS


def _thumbnail(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR), dtype=np.float64).ravel()


def test_logistic_regression_on_thumbnails_stays_under_seven_tenths(tmp_path: Path) -> None:
    shares = {"test_share": 0.25, "dicom_share": 0.0}
    write_phantom_dataset(tmp_path, num_images=1600, seed=2, size=64, **shares)
    planned = plan_cohort(1600, seed=2, **shares)
    pixels = np.stack([_thumbnail(tmp_path / "images" / f"{image.stem}.png") for image in planned])
    labels = np.asarray([NIH_FINDINGS.encode(image.findings) for image in planned])
    is_test = np.asarray([image.is_test for image in planned])
    pixels = StandardScaler().fit(pixels[~is_test]).transform(pixels)

    def mean_auroc(strength: float) -> float:
        areas = []
        for truth in labels.T:
            model = LogisticRegression(C=strength, max_iter=500).fit(pixels[~is_test], truth[~is_test])
            areas.append(roc_auc_score(truth[is_test], model.decision_function(pixels[is_test])))
        return float(np.mean(areas))

    best = max(mean_auroc(strength) for strength in (0.001, 0.03, 1.0))
    assert 0.5 < best < 0.70
