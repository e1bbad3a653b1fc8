"""timm and torchvision, importable whatever their builds; everything else gets them from here.

timm imports torchvision. Where torchvision was built for another torch (a CUDA torchvision beside a CPU torch is the
usual case, as there is no CPU build of torchvision for every platform), its compiled operators do not load, and the
import ends in "operator torchvision::nms does not exist": torchvision attaches shapes to two operators that nothing has
declared. Declaring them is enough. Both are for object detection; a classifier calls neither. Where the builds agree,
nothing is declared.
"""

from __future__ import annotations

import torch


def _declare_detection_operators() -> torch.library.Library:
    """Declare those of the two operators that are missing; they live as long as the library that is returned."""
    library: torch.library.Library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(schema)  # type: ignore[no-untyped-call]
    return library


try:
    import torchvision  # noqa: F401
except RuntimeError as error:
    if "operator torchvision::" not in str(error):
        raise
    _library = _declare_detection_operators()

import timm  # noqa: E402 - after the declaration
from timm.optim.lars import Lars  # noqa: E402
from torchvision.models.feature_extraction import create_feature_extractor  # noqa: E402

__all__ = ["Lars", "create_feature_extractor", "timm"]
