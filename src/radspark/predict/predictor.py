"""Predictor: a bundle and prepared radiographs or file bytes in, probabilities out; no Spark.

N images, C findings, S side of a prepared image.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from radspark.bundle import Bundle, load_bundle
from radspark.errors import BundleError
from radspark.images import read_radiograph
from radspark.labels import LabelSet
from radspark.metrics.decision import Decision
from radspark.nn.augmentation import center_crop
from radspark.nn.network import build_network
from radspark.nn.user_module import wrap_user_module

MAX_BATCH = 16


class Predictor:
    """Applies a bundle's network by the evaluation chain."""

    def __init__(self, bundle: Bundle, *, module_factory: Callable[[], nn.Module] | None = None) -> None:
        """Build the network of a bundle.

        Args:
            module_factory: makes the user's own network; needed if, and only if, the bundle holds one.

        Raises:
            BundleError: the factory is missing, or the weights do not fit the network.
        """
        self._bundle = bundle
        self.decision = read_decision(bundle)
        self._network = _build(bundle, module_factory).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, folder: str | Path, *, module_factory: Callable[[], nn.Module] | None = None) -> Predictor:
        """Read a bundle from a local folder."""
        return cls(load_bundle(Path(folder)), module_factory=module_factory)

    @property
    def labels(self) -> LabelSet:
        """The findings, in the order of the probabilities."""
        return self._bundle.labels

    def predict(self, images_NSS: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N, C) of prepared radiographs, uint8 (N, S, S); calibrated if the bundle is."""
        return self.calibrate(self.score(images_NSS))

    def calibrate(self, scores_NC: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities from what `score` gives."""
        probabilities_NC: NDArray[np.float32] = self.decision.calibrate(scores_NC, self.labels)
        return probabilities_NC

    @torch.inference_mode()
    def score(self, images_NSS: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's own probabilities (N, C), before calibration, of prepared radiographs, uint8 (N, S, S)."""
        size = self._bundle.preparation.size
        if images_NSS.ndim != 3 or images_NSS.shape[1:] != (size, size):
            raise ValueError(
                f"images must be (N, {size}, {size}), got {images_NSS.shape}; prepare them as the bundle says."
            )
        parts = [self._forward(images_NSS[start : start + MAX_BATCH]) for start in range(0, len(images_NSS), MAX_BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.labels)), np.float32)

    def predict_file(self, data: bytes) -> NDArray[np.float32]:
        """Probabilities (C,) of one PNG, JPEG or DICOM file.

        Raises:
            UnreadableImageError: the bytes are not a radiograph.
        """
        probabilities_C: NDArray[np.float32] = self.predict(read_radiograph(data, self._bundle.preparation)[None])[0]
        return probabilities_C

    def _forward(self, images_NSS: NDArray[np.uint8]) -> NDArray[np.float32]:
        images_N1SS = torch.from_numpy(np.array(images_NSS)).unsqueeze(1)
        logits_NC = self._network(center_crop(images_N1SS, self._bundle.model.input_size))
        probabilities_NC: NDArray[np.float32] = logits_NC.float().sigmoid().numpy()
        return probabilities_NC


def read_decision(bundle: Bundle) -> Decision:
    """The bundle's calibration and thresholds; of an older bundle, none.

    Raises:
        BundleError: it holds something else.
    """
    if bundle.decision is None:
        return Decision()
    try:
        return Decision.from_dict(bundle.decision)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"the bundle's decision cannot be read: {error}") from error


def check_module_factory(bundle: Bundle, module_factory: Callable[[], nn.Module] | None) -> None:
    """Raise BundleError if a bundle holds a network of its user's own and nothing to make it with."""
    if bundle.user_module is not None and module_factory is None:
        raise BundleError(
            f"this bundle holds a network of its user's own ({bundle.user_module}); give the function that makes it "
            "as module_factory, or as moduleFactory of an XRayModel. Nothing is imported by a name found in a file."
        )


def _build(bundle: Bundle, module_factory: Callable[[], nn.Module] | None) -> nn.Module:
    check_module_factory(bundle, module_factory)
    if module_factory is not None:
        network: nn.Module = wrap_user_module(
            module_factory, len(bundle.labels), input_size=bundle.model.input_size, seed=0
        )
    else:
        settings = bundle.model.without_weights()
        network = build_network(settings, len(bundle.labels), seed=0)
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in bundle.weights.items()})
    except RuntimeError as error:
        raise BundleError(f"the bundle's weights do not fit its network: {error}") from error
    return network
