"""AUROC and average precision of one finding under any weights of its patients, from one sort.

A resample of patients is a column of multiplicities. Only the scores of positives are thresholds that matter: between
two of them the negatives count by their number alone. So a finding becomes two sparse matrices of counts, and all
resamples one product with each. `ranking` gives the same values for weights of 1.
Legend: N samples, G patients, B resamples, K distinct scores of positives, S = K + 1 places of negatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float64]
EXACT_FLOAT32 = 1 << 24
"""Up to it a float32 holds every whole number."""


@dataclass(frozen=True)
class RankBlocks:
    """Counts of one finding's known samples by score and patient, from the highest score down."""

    positives_KG: Any
    """Sparse: positives of each patient at each score that a positive has."""
    negatives_SG: Any
    """Sparse: negatives of each patient at the first such score or above, between it and the second or at the second,
    and so on; the last row lies below all."""
    tied_KG: Any
    """Sparse: those of them that lie at the score, not above it."""

    @classmethod
    def of(
        cls,
        labels_N: npt.NDArray[Any],
        scores_N: npt.NDArray[Any],
        patients_N: npt.NDArray[np.int64],
        num_patients: int,
    ) -> RankBlocks:
        """Sort once.

        Args:
            labels_N: 1, 0 or NaN; unknown samples are left out.
            patients_N: number of each sample's patient, from 0.
        """
        positive, negative = labels_N == 1, labels_N == 0
        scores_K, blocks = np.unique(scores_N[positive], return_inverse=True)
        num_blocks = len(scores_K)
        below = np.searchsorted(scores_K, scores_N[negative], side="left")
        tied = np.searchsorted(scores_K, scores_N[negative], side="right") > below
        places = num_blocks - below - tied
        owners = patients_N[negative]
        # Half the memory, where it holds any resample's counts exactly: at most all draws of whoever has most samples.
        most = num_patients * int(np.bincount(patients_N, minlength=1).max())
        dtype = np.float32 if most < EXACT_FLOAT32 else np.float64
        return cls(
            _count(num_blocks - 1 - blocks, patients_N[positive], (num_blocks, num_patients), dtype),
            _count(places, owners, (num_blocks + 1, num_patients), dtype),
            _count(places[tied], owners[tied], (num_blocks, num_patients), dtype),
        )

    @property
    def dtype(self) -> Any:
        """Of weights that cost least."""
        return self.positives_KG.dtype

    def measure(self, weights_GB: npt.NDArray[Any], *, precision: bool = True) -> tuple[Floats, Floats]:
        """AUROC and average precision (B,) under each column of weights; NaN where a class has no weight.

        Args:
            precision: whether the second is wanted; all NaN where it is not.
        """
        positives_KB = self.positives_KG @ weights_GB
        negatives_SB = self.negatives_SG @ weights_GB
        np.cumsum(negatives_SB, axis=0, out=negatives_SB)
        upto_KB, negatives_B = negatives_SB[:-1], negatives_SB[-1].astype(np.float64)
        num_positives_B = positives_KB.sum(axis=0, dtype=np.float64)
        # Whole numbers and halves: any order of the sum gives the same bits.
        pairs_B = num_positives_B * negatives_B - _dot(positives_KB, upto_KB)
        if self.tied_KG.nnz:
            pairs_B += _dot(positives_KB, self.tied_KG @ weights_GB) / 2
        average_precision_B = np.full(len(num_positives_B), np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            auroc_B = pairs_B / (num_positives_B * negatives_B)
            if precision:
                found_KB = np.cumsum(positives_KB, axis=0, dtype=np.float64)
                precision_KB = np.divide(found_KB, found_KB + upto_KB, out=found_KB, where=positives_KB > 0)
                average_precision_B = _dot(positives_KB, precision_KB) / num_positives_B
        average_precision_B[negatives_B == 0] = np.nan
        return auroc_B, average_precision_B

    def placements(self) -> tuple[Floats, Floats]:
        """DeLong's structural components, V10 of each block of positives (K,), and V01 summed by patient (G,).

        V10 is the share of negatives below, V01 of positives above; ties count half. Both classes must be there.
        """
        positives_K, negatives_S, tied_K = (_sum(part, axis=1) for part in self._parts())
        below_K = negatives_S.sum() - np.cumsum(negatives_S)[:-1] + tied_K / 2
        above_S = np.append(0, np.cumsum(positives_K))
        beaten_by_G = self.negatives_SG.T @ above_S + self.tied_KG.T @ (positives_K / 2)
        return below_K / negatives_S.sum(), beaten_by_G / above_S[-1]

    def influence(self) -> tuple[Floats, Floats]:
        """Derivative of AUROC and of average precision by the weight of each patient, at weight 1: (G,) each."""
        positives_K, negatives_S, _ = (_sum(part, axis=1) for part in self._parts())
        num_positives, num_negatives = positives_K.sum(), negatives_S.sum()
        if not num_positives or not num_negatives:
            undefined = np.full(self.positives_KG.shape[1], np.nan)
            return undefined, undefined
        below_K, beaten_by_G = self.placements()
        share_K = positives_K / num_positives
        auroc = below_K @ share_K
        auroc_G = self.positives_KG.T @ (below_K - auroc) / num_positives
        auroc_G += (beaten_by_G - auroc * self.class_sizes()[1]) / num_negatives
        found_K, upto_K = np.cumsum(positives_K), np.cumsum(negatives_S)[:-1]
        precision_K = found_K / (found_K + upto_K)
        per_positive_K = _sum_from_here(share_K * upto_K / (found_K + upto_K) ** 2)
        per_negative_K = _sum_from_here(share_K * found_K / (found_K + upto_K) ** 2)
        gain_K = (precision_K - precision_K @ share_K) / num_positives + per_positive_K
        precision_G = self.positives_KG.T @ gain_K
        precision_G -= self.negatives_SG.T @ np.append(per_negative_K, 0)
        return auroc_G, precision_G

    def patients_with(self) -> tuple[int, int]:
        """Number of patients that have a positive, and that have a negative."""
        positives_G, negatives_G = self.class_sizes()
        return int(np.count_nonzero(positives_G)), int(np.count_nonzero(negatives_G))

    def class_sizes(self) -> tuple[Floats, Floats]:
        """Positives and negatives of each patient: (G,) each."""
        return _sum(self.positives_KG, axis=0), _sum(self.negatives_SG, axis=0)

    def _parts(self) -> tuple[Any, Any, Any]:
        return self.positives_KG, self.negatives_SG, self.tied_KG


def _count(rows: npt.NDArray[Any], columns: npt.NDArray[Any], shape: tuple[int, int], dtype: type) -> Any:
    return sparse.csr_array((np.ones(len(rows), dtype), (rows, columns)), shape=shape)


def _dot(left_KB: npt.NDArray[Any], right_KB: npt.NDArray[Any]) -> Floats:
    """Column by column, in double precision."""
    total: Floats = np.einsum("kb,kb->b", left_KB, right_KB, dtype=np.float64)
    return total


def _sum(matrix: Any, *, axis: int) -> Floats:
    return np.asarray(matrix.sum(axis=axis, dtype=np.float64))


def _sum_from_here(values_K: Floats) -> Floats:
    total: Floats = np.cumsum(values_K[::-1])[::-1]
    return total
