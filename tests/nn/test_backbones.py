"""Backbones by name: what is refused and why, sizes, pools, normalization."""

from __future__ import annotations

import logging

import huggingface_hub.constants
import pytest
import torch

from radspark.errors import WeightsError
from radspark.nn.backbones import Backbone, build_backbone
from radspark.settings import ModelSettings


def on_meta(name: str, **settings: object) -> Backbone:
    with torch.device("meta"):
        return build_backbone(ModelSettings(backbone=name, **settings))  # type: ignore[arg-type]


def test_an_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"model.backbone must be a timm architecture, got 'resnet5'; .* resnet50"):
        on_meta("resnet5")


def test_a_backbone_from_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a timm architecture"):
        on_meta("hf-hub:timm/resnet50")


def test_unknown_weights_of_a_known_backbone_list_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"timm has no weights 'mine' of it; it has .*tv_in1k"):
        on_meta("densenet121.mine")


def test_an_unknown_layer_lists_the_layers() -> None:
    with pytest.raises(
        ValueError, match=r"model.truncate_at must name a layer .* got 'Mixed_7'; .* Mixed_7a.*Conv2d_1a"
    ):
        on_meta("inception_v3", truncate_at="Mixed_7")


def test_a_layer_inside_a_traced_part_is_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match=r"cut after 'stages.0.blocks.0.norm1.act', .*name one that holds it"):
        on_meta("resnetv2_18", truncate_at="stages.0.blocks.0.norm1.act")


def test_an_input_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot take a grey image of model.input_size 32"):
        on_meta("inception_v3", input_size=32)


def test_a_size_that_a_fixed_grid_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model.input_size 100: Input height \(100\) should be divisible"):
        on_meta("test_vit", input_size=100)
    with pytest.raises(ValueError, match=r"xcit_nano_12_p8_224 cannot be built for model.input_size 100"):
        on_meta("xcit_nano_12_p8_224", input_size=100)


def test_a_transformer_is_built_for_the_input_size() -> None:
    assert on_meta("test_vit", input_size=96).trunk.pos_embed.shape == (1, 37, 64)


def test_vgg_ends_at_its_last_pool_without_the_hidden_layers_of_its_classifier() -> None:
    backbone = on_meta("vgg16")

    assert backbone.num_features == 512 and backbone.layers[-1] == "features.30"
    assert sum(parameter.numel() for parameter in backbone.trunk.parameters()) < 15e6


@pytest.mark.parametrize(("name", "layer"), [("swin_tiny_patch4_window7_224", "layers.1"), ("test_vit", "blocks.2")])
def test_a_cut_transformer_pools_over_positions(name: str, layer: str) -> None:
    backbone = on_meta(name, truncate_at=layer)

    assert backbone.pool.channels_last is (name != "test_vit")
    assert backbone.pool.num_prefix_tokens == (1 if name == "test_vit" else 0)
    assert backbone.num_features == {"layers.1": 192, "blocks.2": 64}[layer]


def test_the_pools_of_inception_leave_padding_out_when_asked() -> None:
    image = torch.rand(1, 1, 75, 75, generator=torch.Generator().manual_seed(0))
    features = []
    for pool_includes_padding in (True, False):
        settings = ModelSettings(
            "inception_v3", input_size=75, truncate_at="Mixed_5b", pool_includes_padding=pool_includes_padding
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            backbone = build_backbone(settings)
        with torch.no_grad():
            features.append(backbone.pool(backbone.trunk.eval()(image)))

    assert features[0].shape == features[1].shape == (1, 256)
    assert not torch.allclose(*features)


def test_pools_without_padding_to_leave_out_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="radspark"):
        on_meta("densenet121", pool_includes_padding=False)
    said = "model.pool_includes_padding = false changes nothing: densenet121 has no average pool that pads"
    assert caplog.messages == [said]


def test_normalization_is_the_mean_over_the_channels_that_timm_names() -> None:
    backbone = on_meta("resnet50")

    assert backbone.mean == pytest.approx(255 * (0.485 + 0.456 + 0.406) / 3)
    assert backbone.std == pytest.approx(255 * (0.229 + 0.224 + 0.225) / 3)


def test_normalization_of_the_settings_comes_first() -> None:
    backbone = on_meta("resnet50", mean=128.0, std=64.0)

    assert (backbone.mean, backbone.std) == (128.0, 64.0)


def test_without_network_imagenet_weights_say_how_to_pass_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "/nonexistent")

    with pytest.raises(WeightsError, match=r"could not be downloaded .* pass that file as weights"):
        build_backbone(ModelSettings("resnet10t"), download_weights=True)


def test_a_backbone_without_imagenet_weights_says_so() -> None:
    with pytest.raises(WeightsError, match="timm has no ImageNet weights for darknet17; use weights 'none' or a file"):
        build_backbone(ModelSettings("darknet17"), download_weights=True)
