"""Random changes of training images, batched on tensors and drawn per image; and the evaluation crop.

An image's result depends on (seed, epoch, image key) alone. N samples, H x W prepared, S x S into the network.
Grey values stay integers through flips and crops; all else is computed in float32 and rounded once, at the end.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from radspark.nn.draws import uniform_draws
from radspark.nn.transfer import CPU, to_device
from radspark.settings import AugmentationSettings

_FLIP, _BRIGHTEN, _BRIGHTNESS, _ROTATION, _SHIFT_X, _SHIFT_Y, _SCALE, _CROP_X, _CROP_Y = range(9)
_NUM_DRAWS = 9


def center_crop(images_N1HW: torch.Tensor, size: int) -> torch.Tensor:
    """The middle size x size pixels, as evaluation sees them; of an odd rest, the larger half is right and below."""
    top, left = _crop_room(images_N1HW, size)
    return images_N1HW[:, :, top // 2 : top // 2 + size, left // 2 : left // 2 + size]


def augment(
    images_N1HW: NDArray[np.uint8],
    *,
    settings: AugmentationSettings,
    seed: int,
    epoch: int,
    image_keys_N: NDArray[np.int64],
    output_size: int,
    device: torch.device = CPU,
) -> torch.Tensor:
    """Draw and apply the random changes of one epoch.

    In this order: rotation, change of size and shift about the image's center, black coming in from outside; the crop;
    the flip; brightness, cut off at 0 and 255.

    Args:
        images_N1HW: in the processor's memory.
        settings: what may happen, and how far.
        seed: of the run.
        epoch: each epoch draws anew.
        image_keys_N: a hash of each image's id.
        output_size: side of the result, S.
        device: of the result; what interpolates is done there, a crop before.

    Returns:
        uint8 (N, 1, S, S).
    """
    draws = uniform_draws(seed=seed, epoch=epoch, keys_N=image_keys_N, num_draws=_NUM_DRAWS)
    tops_N, lefts_N = _crop_corners(images_N1HW, draws, settings, output_size)
    if settings.rotation_degrees or settings.translation or settings.scale:
        whole_N1HW = to_device(images_N1HW, device)
        images = _warp(whole_N1HW, draws, settings, tops_N=tops_N, lefts_N=lefts_N, size=output_size)
    else:
        images = to_device(_cut(images_N1HW, tops_N, lefts_N, output_size), device)
    flipped_N = to_device(draws[:, _FLIP] < settings.flip, device)
    images = torch.where(flipped_N[:, None, None, None], images.flip(-1), images)
    if settings.brightness and settings.brightness_probability:
        images = images + to_device(_brightness_shifts(draws, settings), device)[:, None, None, None]
    return images if images.dtype == torch.uint8 else images.round().clamp(0, 255).to(torch.uint8)


def _crop_room(images_N1HW: torch.Tensor | NDArray[np.uint8], size: int) -> tuple[int, int]:
    """Pixels to spare below and to the right."""
    height, width = images_N1HW.shape[-2:]
    if size > min(height, width):
        raise ValueError(f"the crop must be at most the image's {height} x {width} pixels, got {size}.")
    return height - size, width - size


def _crop_corners(
    images_N1HW: NDArray[np.uint8], draws: NDArray[np.float64], settings: AugmentationSettings, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    top, left = _crop_room(images_N1HW, size)
    if settings.crop == "center":
        count = len(images_N1HW)
        return np.full(count, top // 2), np.full(count, left // 2)
    tops_N = (draws[:, _CROP_Y] * (top + 1)).astype(np.int64)
    lefts_N = (draws[:, _CROP_X] * (left + 1)).astype(np.int64)
    return tops_N, lefts_N


def _cut(
    images_N1HW: NDArray[np.uint8], tops_N: NDArray[np.int64], lefts_N: NDArray[np.int64], size: int
) -> NDArray[np.uint8]:
    windows = np.lib.stride_tricks.sliding_window_view(images_N1HW[:, 0], (size, size), axis=(1, 2))
    return windows[np.arange(len(images_N1HW)), tops_N, lefts_N][:, np.newaxis]


def _warp(
    images_N1HW: torch.Tensor,
    draws: NDArray[np.float64],
    settings: AugmentationSettings,
    *,
    tops_N: NDArray[np.int64],
    lefts_N: NDArray[np.int64],
    size: int,
) -> torch.Tensor:
    """Sample the crop out of the rotated, scaled and shifted images, bilinear; float32 (N, 1, S, S).

    Multiplications and additions stand apart, each rounded by itself, so no choice of vector width changes a bit.
    """
    height, width = images_N1HW.shape[-2:]
    signed = 2.0 * draws - 1.0
    angle_N = signed[:, _ROTATION] * math.radians(settings.rotation_degrees)
    scale_N = 1.0 + signed[:, _SCALE] * settings.scale
    # One cosine at a time: how numpy's vectors round can depend on where in a batch an image stands.
    cos_N1 = np.array([math.cos(angle) for angle in angle_N])[:, np.newaxis] / scale_N[:, np.newaxis]
    sin_N1 = np.array([math.sin(angle) for angle in angle_N])[:, np.newaxis] / scale_N[:, np.newaxis]
    # Where each column and row of the crop lies from the image's center before the shift, then turned and scaled back,
    # in grid_sample's units: -1 and 1 are the outer edges of the outer pixels.
    shifts = signed[:, [_SHIFT_X, _SHIFT_Y]] * settings.translation * (width, height)
    x_NS = np.arange(size) + lefts_N[:, np.newaxis] - (width - 1) / 2 - shifts[:, :1]
    y_NS = np.arange(size) + tops_N[:, np.newaxis] - (height - 1) / 2 - shifts[:, 1:]
    device = images_N1HW.device
    grid_x = _outer_sum(cos_N1 * x_NS * (2 / width), sin_N1 * y_NS * (2 / width), device)
    grid_y = _outer_sum(-sin_N1 * x_NS * (2 / height), cos_N1 * y_NS * (2 / height), device)
    grid_NSS2 = torch.stack([grid_x, grid_y], dim=-1)
    return F.grid_sample(images_N1HW.float(), grid_NSS2, mode="bilinear", padding_mode="zeros", align_corners=False)


def _outer_sum(
    of_columns_NS: NDArray[np.float64], of_rows_NS: NDArray[np.float64], device: torch.device
) -> torch.Tensor:
    columns_NS = to_device(of_columns_NS.astype(np.float32), device)
    rows_NS = to_device(of_rows_NS.astype(np.float32), device)
    return columns_NS[:, None, :] + rows_NS[:, :, None]


def _brightness_shifts(draws: NDArray[np.float64], settings: AugmentationSettings) -> NDArray[np.float32]:
    """Grey values to add to each image, (N,)."""
    lowest = -1.0 if settings.brightness_sign == "both" else 0.0
    shares = lowest + (1.0 - lowest) * draws[:, _BRIGHTNESS]
    chosen = draws[:, _BRIGHTEN] < settings.brightness_probability
    return np.where(chosen, shares * settings.brightness * 255.0, 0.0).astype(np.float32)
