"""Cutting a backbone after a named layer, and average pools that leave padding out: edits of its graph (torch.fx).

A cut backbone keeps the names of its tensors; layers behind the cut are gone, with their weights and their time.
"""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn import functional as F

from radspark.errors import ArgumentError
from radspark.nn.timm_import import create_feature_extractor, timm

_OUTPUT = "features"


def cut_after(model: nn.Module, layer: str) -> nn.Module:
    """The part of a model that computes the output of one layer.

    It holds a graph for training and one for evaluation. To copy it to another process, build it there and load its
    state: it cannot be pickled, and `copy.deepcopy` gives it back in training mode.

    Raises:
        ArgumentError: the graph cannot be traced, or the layer is inside a part that is traced as one.
    """
    leaves = {
        "leaf_modules": timm.models.get_notrace_modules(),  # type: ignore[no-untyped-call]
        "autowrap_functions": timm.models.get_notrace_functions(),  # type: ignore[no-untyped-call]
    }
    try:
        cut: nn.Module = create_feature_extractor(
            model, {layer: _OUTPUT}, tracer_kwargs=leaves, suppress_diff_warning=True
        )
    except (fx.proxy.TraceError, RuntimeError, TypeError) as error:
        raise ArgumentError(
            f"the backbone cannot be cut after {layer!r}, its graph cannot be traced ({error}); leave "
            "model.truncate_at empty and model.pool_includes_padding true, or use another backbone."
        ) from error
    except ValueError as error:
        raise ArgumentError(
            f"the backbone cannot be cut after {layer!r}, which is inside a layer that is kept or cut as a whole; "
            "name one that holds it."
        ) from error
    for graph in _graphs(cut):
        (output,) = (node for node in graph.nodes if node.op == "output")
        output.args = (output.args[0][_OUTPUT],)
    _recompile(cut)
    return cut


def exclude_padding(cut: nn.Module) -> int:
    """Make all average pools of a cut backbone divide by the pixels they see; returns how many changed."""
    changed = set()
    for name, child in cut.named_modules():
        if isinstance(child, nn.AvgPool2d) and child.count_include_pad and child.padding not in (0, (0, 0)):
            child.count_include_pad = False
            changed.add(name)
    for graph in _graphs(cut):
        for node in graph.nodes:
            if node.op == "call_function" and node.target is F.avg_pool2d and _pads(node):
                node.args, node.kwargs = node.args[:5], {**node.kwargs, "count_include_pad": False}
                changed.add(node.name)
    _recompile(cut)
    return len(changed)


def _pads(node: fx.Node) -> bool:
    padding = node.args[3] if len(node.args) > 3 else node.kwargs.get("padding", 0)
    return padding not in (0, (0, 0))


def _graphs(cut: nn.Module) -> tuple[fx.Graph, fx.Graph]:
    """The graph that runs in training and the one that runs in evaluation: stochastic depth is in the first alone."""
    assert isinstance(cut.train_graph, fx.Graph) and isinstance(cut.eval_graph, fx.Graph)
    return cut.train_graph, cut.eval_graph


def _recompile(cut: nn.Module) -> None:
    assert isinstance(cut, fx.GraphModule)
    cut.recompile()


class GlobalPool(nn.Module):
    """The mean over all positions, whatever the layout of a backbone's output.

    Args:
        channels_last: 4-D outputs are (N, H, W, F), not (N, F, H, W).
        num_prefix_tokens: leading tokens of a 3-D output (N, L, F) that are no image positions.
    """

    def __init__(self, *, channels_last: bool = False, num_prefix_tokens: int = 0) -> None:
        super().__init__()
        self.channels_last = channels_last
        self.num_prefix_tokens = num_prefix_tokens

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        """Pooled features (N, F); those that a backbone has pooled itself pass unchanged."""
        if outputs.ndim == 2:
            return outputs
        if outputs.ndim == 3:
            return outputs[:, self.num_prefix_tokens :].mean(dim=1)
        return outputs.mean(dim=(1, 2) if self.channels_last else (2, 3))
