"""The loss: binary cross-entropy over the findings that are known, and weights that balance rare positives.

N samples, C findings.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F


def masked_bce(
    logits_NC: torch.Tensor, labels_NC: torch.Tensor, positive_weights_C: torch.Tensor | None = None
) -> torch.Tensor:
    """Binary cross-entropy with logits, summed over samples; a sample's loss is the sum over its known findings / C.

    A step divides by its number of samples, over all micro-batches and shards, so the parts of a step add up exactly to
    the whole. Dividing by C, not by the known findings, keeps a sample with one known label from counting C-fold.

    Args:
        logits_NC: any float type; the loss is computed in float32.
        labels_NC: 0 or 1, NaN where unknown.
        positive_weights_C: factor of the loss where a label is 1.

    Returns:
        A scalar. With all labels known, no weights and division by N it is torch's `BCEWithLogitsLoss`.
    """
    known_NC = ~torch.isnan(labels_NC)
    loss_NC = F.binary_cross_entropy_with_logits(
        logits_NC.float(), labels_NC.float().nan_to_num(), pos_weight=positive_weights_C, reduction="none"
    )
    return torch.where(known_NC, loss_NC, 0.0).sum() / logits_NC.shape[1]


def balanced_positive_weights(positives: Sequence[int], negatives: Sequence[int]) -> tuple[float, ...]:
    """Negatives / positives of each finding, so that both sides weigh the same.

    A finding that has only one side cannot be balanced: its weight is 1.
    """
    return tuple(
        num_negatives / num_positives if num_positives and num_negatives else 1.0
        for num_positives, num_negatives in zip(positives, negatives, strict=True)
    )
