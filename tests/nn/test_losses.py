"""The masked loss against torch's, and weights that balance."""

from __future__ import annotations

import math

import pytest
import torch

from radspark.nn.losses import balanced_positive_weights, masked_bce


@pytest.fixture(name="logits_NC")
def make_logits() -> torch.Tensor:
    return torch.randn(8, 14, generator=torch.Generator().manual_seed(1), requires_grad=True)


@pytest.fixture(name="labels_NC")
def make_labels() -> torch.Tensor:
    return (torch.rand(8, 14, generator=torch.Generator().manual_seed(2)) < 0.3).float()


def test_with_all_labels_known_it_is_n_times_the_loss_of_torch(
    logits_NC: torch.Tensor, labels_NC: torch.Tensor
) -> None:
    expected = torch.nn.BCEWithLogitsLoss()(logits_NC, labels_NC)

    torch.testing.assert_close(masked_bce(logits_NC, labels_NC) / 8, expected)


def test_positive_weights_are_those_of_torch(logits_NC: torch.Tensor, labels_NC: torch.Tensor) -> None:
    weights_C = torch.linspace(0.5, 20.0, 14)

    expected = torch.nn.BCEWithLogitsLoss(pos_weight=weights_C)(logits_NC, labels_NC)

    torch.testing.assert_close(masked_bce(logits_NC, labels_NC, weights_C) / 8, expected)


def test_an_unknown_label_adds_no_loss_and_no_gradient(logits_NC: torch.Tensor, labels_NC: torch.Tensor) -> None:
    labels_NC[3, 5] = math.nan
    known = torch.ones(8, 14)
    known[3, 5] = 0
    expected = torch.nn.BCEWithLogitsLoss(weight=known, reduction="sum")(logits_NC, labels_NC.nan_to_num()) / 14

    loss = masked_bce(logits_NC, labels_NC)
    loss.backward()

    torch.testing.assert_close(loss, expected)
    assert logits_NC.grad is not None and logits_NC.grad[3, 5] == 0 and logits_NC.grad.count_nonzero() == 8 * 14 - 1


def test_a_sample_without_known_labels_costs_nothing() -> None:
    assert masked_bce(torch.ones(1, 3), torch.full((1, 3), math.nan)).item() == 0.0


def test_micro_batches_add_up_to_the_batch(logits_NC: torch.Tensor, labels_NC: torch.Tensor) -> None:
    labels_NC[labels_NC.cumsum(1) > 2] = math.nan
    parts = [masked_bce(logits_NC[i : i + 3], labels_NC[i : i + 3]) for i in range(0, 8, 3)]

    torch.testing.assert_close(sum(parts), masked_bce(logits_NC, labels_NC))


def test_half_precision_logits_are_summed_in_single_precision(logits_NC: torch.Tensor, labels_NC: torch.Tensor) -> None:
    half = logits_NC.detach().bfloat16()

    torch.testing.assert_close(masked_bce(half, labels_NC), masked_bce(half.float(), labels_NC), rtol=0, atol=0)


def test_balanced_weights_give_both_sides_the_same_sum() -> None:
    assert balanced_positive_weights([10, 50], [90, 50]) == (9.0, 1.0)


def test_a_finding_with_one_side_only_keeps_weight_one() -> None:
    assert balanced_positive_weights([0, 7], [7, 0]) == (1.0, 1.0)
