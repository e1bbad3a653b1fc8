"""AUROCs that others published for ChestX-ray14, with their sources. Each is on its own split: none compares."""

from __future__ import annotations

from dataclasses import dataclass

from radspark.labels import NIH_FINDINGS


@dataclass(frozen=True)
class PublishedResult:
    """One paper's or talk's column."""

    name: str
    model: str
    citation: str
    url: str
    split: str
    auroc: dict[str, float]
    """By finding."""

    @property
    def mean_auroc(self) -> float:
        return sum(self.auroc.values()) / len(self.auroc)


def _column(*values: float) -> dict[str, float]:
    return dict(zip(NIH_FINDINGS, values, strict=True))


PUBLISHED_RESULTS = (
    PublishedResult(
        name="Talk 2019",
        model="ResNet-50",
        citation="Yang Y, Chandrasekaran B. Using Deep Learning on Apache Spark to Diagnose Thoracic Pathology from "
        "Chest X-rays. Spark + AI Summit 2019.",
        url="https://github.com/dell-ai-engineering/BigDL-ImageProcessing-Examples",
        split="a random 30% of images, with patients who were also trained on",
        auroc=_column(0.798, 0.892, 0.873, 0.704, 0.818, 0.732, 0.721, 0.872, 0.800, 0.882, 0.876, 0.782, 0.777, 0.802),
    ),
    PublishedResult(
        name="CheXNet 2017",
        model="DenseNet-121",
        citation="Rajpurkar P et al. CheXNet: Radiologist-Level Pneumonia Detection on Chest X-Rays with Deep "
        "Learning. arXiv:1711.05225.",
        url="https://arxiv.org/abs/1711.05225",
        split="its own split",
        auroc=_column(0.809, 0.925, 0.864, 0.735, 0.868, 0.780, 0.768, 0.889, 0.790, 0.888, 0.937, 0.805, 0.806, 0.916),
    ),
    PublishedResult(
        name="Yao 2017",
        model="DenseNet and LSTM",
        citation="Yao L et al. Learning to diagnose from scratch by exploiting dependencies among labels. "
        "arXiv:1710.10501.",
        url="https://arxiv.org/abs/1710.10501",
        split="its own split",
        auroc=_column(0.772, 0.904, 0.859, 0.695, 0.792, 0.717, 0.713, 0.841, 0.788, 0.882, 0.829, 0.767, 0.765, 0.914),
    ),
    PublishedResult(
        name="Wang 2017",
        model="ResNet-50",
        citation="Wang X et al. ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks on "
        "Weakly-Supervised Classification and Localization of Common Thorax Diseases. CVPR 2017. arXiv:1705.02315.",
        url="https://arxiv.org/abs/1705.02315",
        split="its own split",
        auroc=_column(0.716, 0.807, 0.784, 0.609, 0.706, 0.671, 0.633, 0.806, 0.708, 0.835, 0.815, 0.769, 0.708, 0.767),
    ),
)
