"""timm imports in a fresh process beside any torch build, and nothing is declared where the builds agree."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import torch
{before}
from radspark.nn import timm_import
print(timm_import.timm.is_model("resnet50"), hasattr(timm_import, "_library"))
"""


def run_fresh(before: str = "") -> str:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT.format(before=before)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_timm_imports_whether_or_not_the_builds_agree() -> None:
    assert run_fresh().startswith("True")


def test_nothing_is_declared_where_torchvision_imports() -> None:
    # The operators of a torchvision whose compiled part loads.
    declared = (
        "try:\n"
        "    import torchvision\n"
        "except RuntimeError:\n"
        "    library = torch.library.Library('torchvision', 'DEF')\n"
        "    for name in ('nms', 'qnms'):\n"
        "        library.define(name + '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
    )

    assert run_fresh(declared) == "True False"


def test_importing_the_package_loads_no_torch() -> None:
    script = "import sys, radspark.nn; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
