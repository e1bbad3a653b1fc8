"""The contract of every backbone under an XRayNetwork: features, head, cut, freezing, one channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import safetensors.torch
import torch
from torch import nn

from radspark.nn.network import XRayNetwork, build_network
from radspark.nn.timm_import import timm
from radspark.nn.weights import load_weights
from radspark.settings import ModelSettings


@dataclass(frozen=True)
class Contract:
    num_features: int
    cut: str
    num_features_cut: int
    behind_the_cut: str
    pooled: Callable[[nn.Module, torch.Tensor], torch.Tensor] = lambda model, images: model(images)
    """timm's own features of a whole model without classifier."""


def mean_of_maps(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return model.forward_features(images).mean((2, 3))  # type: ignore[operator,no-any-return]


CONTRACTS = {
    "resnet50": Contract(2048, "layer3", 1024, "layer4."),
    "densenet121": Contract(1024, "features.denseblock3", 1024, "features.transition3."),
    "inception_v3": Contract(2048, "Mixed_7a", 1280, "Mixed_7b."),
    "vgg16": Contract(512, "features.22", 512, "features.24.", pooled=mean_of_maps),
    "test_vit": Contract(64, "blocks.3", 64, "blocks.4."),
    "test_convnext": Contract(64, "stages.2", 48, "stages.3."),
}
SIZE = 80
FINDINGS = 14


def settings_of(name: str) -> ModelSettings:
    return ModelSettings(backbone=name, input_size=SIZE, dropout=0.2)


@dataclass(frozen=True)
class Case:
    name: str
    contract: Contract
    network: XRayNetwork


@pytest.fixture(scope="module", params=CONTRACTS)
def case(request: pytest.FixtureRequest) -> Case:
    """One per backbone, built once."""
    return Case(request.param, CONTRACTS[request.param], build_network(settings_of(request.param), FINDINGS, seed=3))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (2, 1, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def on_meta(settings: ModelSettings) -> XRayNetwork:
    """Names and shapes of a network, without the time that its weights take."""
    with torch.device("meta"):
        return build_network(settings, FINDINGS, seed=0)


def test_features_and_logits_have_the_shapes_of_the_contract(case: Case, images: torch.Tensor) -> None:
    network = case.network.eval()
    with torch.no_grad():
        features, logits = network.features(images), network(images)

    assert features.shape == (2, case.contract.num_features) and logits.shape == (2, FINDINGS)
    torch.testing.assert_close(logits, network.head(features))


def test_one_grey_channel_equals_the_color_network_on_a_grey_image(case: Case, images: torch.Tensor) -> None:
    network = case.network.eval()
    size = {"img_size": SIZE} if case.name == "test_vit" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        color = timm.create_model(case.name, num_classes=0, **size).eval()
    normalized = (images.float() - network.grey_mean) / network.grey_std

    report = load_weights(network.trunk, safetensors.torch.save(color.state_dict()), backbone=case.name)
    with torch.no_grad():
        expected = case.contract.pooled(color, normalized.expand(-1, 3, -1, -1))
        got = network.features(images)

    assert len(report.summed) == 1
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_every_parameter_takes_part(case: Case, images: torch.Tensor) -> None:
    case.network.train().zero_grad()
    case.network(images).sum().backward()

    assert [name for name, parameter in case.network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_cut_trunk_ends_with_its_layer(name: str) -> None:
    contract = CONTRACTS[name]
    whole, cut = on_meta(settings_of(name)), on_meta(replace(settings_of(name), truncate_at=contract.cut))

    assert cut.head.in_features == contract.num_features_cut
    assert any(key.startswith(contract.behind_the_cut) for key in whole.trunk.state_dict())
    assert not any(key.startswith(contract.behind_the_cut) for key in cut.trunk.state_dict())
    assert set(cut.trunk.state_dict()) < set(whole.trunk.state_dict())


def test_a_cut_trunk_computes_the_output_of_its_layer(case: Case, images: torch.Tensor) -> None:
    cut = build_network(replace(settings_of(case.name), truncate_at=case.contract.cut), 1, seed=0).eval()
    cut.trunk.load_state_dict(case.network.trunk.state_dict(), strict=False)
    seen: list[torch.Tensor] = []
    layer = case.network.trunk.get_submodule(case.contract.cut)
    hook = layer.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    with torch.no_grad():
        case.network.eval().features(images)
        got = cut.features(images)
    hook.remove()

    torch.testing.assert_close(got, cut.pool(seen[0]), rtol=1e-5, atol=1e-5)


def test_freezing_the_trunk_leaves_the_head(case: Case) -> None:
    case.network.freeze_up_to("trunk")
    trained = [parameter for parameter in case.network.parameters() if parameter.requires_grad]
    case.network.freeze_up_to(None)

    assert trained == case.network.head_parameters() and all(p.requires_grad for p in case.network.parameters())


def test_freezing_up_to_a_layer_stops_its_gradient_and_statistics(case: Case, images: torch.Tensor) -> None:
    network = case.network
    network.freeze_up_to(case.contract.cut)
    network.train().zero_grad(set_to_none=True)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network(images).sum().backward()
    changed = [name for name, parameter in network.named_parameters() if parameter.grad is not None]
    changed += [name for name, buffer in network.named_buffers() if not torch.equal(buffer, before[name])]
    network.freeze_up_to(None)

    first = next(iter(network.trunk.state_dict()))
    assert f"trunk.{first}" not in changed
    assert not any(name.startswith(f"trunk.{case.contract.cut}.") for name in changed)
    assert any(name.startswith(f"trunk.{case.contract.behind_the_cut}") for name in changed)


def test_frozen_layers_stay_in_evaluation_when_training_begins() -> None:
    network = on_meta(replace(settings_of("resnet50"), freeze_up_to="layer2"))

    network.eval()
    network.train()

    assert not network.trunk.layer2[0].bn1.training and not network.trunk.bn1.training
    assert network.trunk.layer3[0].bn1.training and network.trunk.training and network.dropout.training


def test_a_class_token_is_frozen_with_the_first_layer() -> None:
    trunk = on_meta(replace(settings_of("test_vit"), freeze_up_to="patch_embed")).trunk

    assert not trunk.cls_token.requires_grad and not trunk.pos_embed.requires_grad
    assert trunk.blocks[0].attn.qkv.weight.requires_grad


def test_a_cut_trunk_freezes_by_the_same_names() -> None:
    settings = replace(settings_of("inception_v3"), truncate_at="Mixed_6e", freeze_up_to="Mixed_6a")

    trained = {name.split(".")[0] for name, p in on_meta(settings).trunk.named_parameters() if p.requires_grad}

    assert trained == {"Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"}


def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (build_network(settings_of("test_vit"), 3, seed=seed) for seed in (1, 1, 2))

    assert torch.equal(first.head.weight, second.head.weight) and not torch.equal(first.head.weight, other.head.weight)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_normalization_travels_in_the_state_dict() -> None:
    trained = build_network(replace(settings_of("test_vit"), mean=128.0, std=64.0), 3, seed=0)
    other = build_network(settings_of("test_vit"), 3, seed=1)

    other.load_state_dict(trained.state_dict())

    assert (other.grey_mean.item(), other.grey_std.item()) == (128.0, 64.0)
