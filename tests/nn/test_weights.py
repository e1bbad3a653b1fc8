"""Files of weights: formats, prefixes, channels, and what is said when they do not fit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from radspark.errors import WeightsError
from radspark.nn.network import build_network
from radspark.nn.timm_import import timm
from radspark.nn.weights import load_weights
from radspark.settings import ModelSettings

NAME = "test_resnet"


def color_tensors(name: str = NAME, **arguments: Any) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return timm.create_model(name, **arguments).state_dict()  # type: ignore[no-any-return]


def grey_trunk(**settings: Any) -> nn.Module:
    return build_network(ModelSettings(NAME, input_size=64, **settings), 2, seed=0).trunk


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_a_color_network_with_its_classifier_fills_a_grey_trunk() -> None:
    tensors, trunk = color_tensors(), grey_trunk()

    report = load_weights(trunk, safetensors.torch.save(tensors), backbone=NAME)

    assert report.summed == ("conv1.0.weight",) and set(report.ignored) == {"fc.weight", "fc.bias"}
    torch.testing.assert_close(trunk.conv1[0].weight, tensors["conv1.0.weight"].sum(1, keepdim=True))
    torch.testing.assert_close(trunk.layer4[0].conv1.weight, tensors["layer4.0.conv1.weight"])


@pytest.mark.parametrize(
    "wrap",
    [
        saved,
        lambda t: saved({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in t.items()}}),
        lambda t: saved({"model": {f"backbone.model.{k}": v for k, v in t.items()}, "optimizer": {}}),
        lambda t: safetensors.torch.save({f"trunk.{k}": v for k, v in t.items()} | {"head.weight": torch.ones(2, 96)}),
        lambda t: safetensors.torch.save({k: v.half() for k, v in t.items()}),
        lambda t: safetensors.torch.save({k: v for k, v in t.items() if "num_batches" not in k}),
    ],
    ids=["plain", "data-parallel", "nested", "radspark", "half", "no-counters"],
)
def test_all_ways_to_save_give_the_same_trunk(wrap: Any) -> None:
    tensors, trunk = color_tensors(num_classes=0), grey_trunk()

    load_weights(trunk, wrap(tensors), backbone=NAME)

    expected = tensors["layer2.0.conv2.weight"]
    assert trunk.layer2[0].conv2.weight.dtype == torch.float32
    torch.testing.assert_close(trunk.layer2[0].conv2.weight.detach(), expected, rtol=1e-3, atol=1e-4)


def test_classifiers_by_other_names_are_ignored() -> None:
    others = {"classifier.0.weight": torch.ones(3, 96), "AuxLogits.fc.bias": torch.ones(3)}

    report = load_weights(grey_trunk(), saved(color_tensors(num_classes=0) | others), backbone=NAME)

    assert set(report.ignored) == set(others)


def test_layers_behind_the_cut_are_ignored_and_reported() -> None:
    trunk = grey_trunk(truncate_at="layer3")

    report = load_weights(trunk, safetensors.torch.save(color_tensors()), backbone=NAME)

    assert len(report.loaded) == len(trunk.state_dict())
    assert {name.split(".")[0] for name in report.ignored} == {"layer4", "fc"}


def test_the_names_of_torchvisions_densenet_are_understood() -> None:
    name = "densenet121"
    network = build_network(ModelSettings(name, truncate_at="features.denseblock1", input_size=64), 2, seed=0)
    tensors = {
        key.replace("norm1", "norm.1")
        .replace("conv1", "conv.1")
        .replace("norm2", "norm.2")
        .replace("conv2", "conv.2"): v
        for key, v in color_tensors(name).items()
    }

    report = load_weights(network.trunk, saved(tensors), backbone=name)

    assert len(report.loaded) == len(network.trunk.state_dict())


def test_a_misfit_changes_nothing_and_lists_names_and_the_likely_backbone() -> None:
    trunk = grey_trunk()
    before = {key: tensor.clone() for key, tensor in trunk.state_dict().items()}
    message = (
        r"the file of weights does not fit test_resnet: \d+ missing \(conv1.0.weight, .*, \.\.\.\); \d+ unexpected .*; "
        r"\d+ of another shape .* It seems to be for resnet18: set model.backbone to that"
    )

    with pytest.raises(WeightsError, match=message):
        load_weights(trunk, safetensors.torch.save(color_tensors("resnet18")), backbone=NAME)

    torch.testing.assert_close(trunk.state_dict(), before, rtol=0, atol=0)


def test_a_deeper_relative_with_all_the_right_names_is_refused() -> None:
    trunk = build_network(ModelSettings("resnet18", input_size=64), 2, seed=0).trunk

    with pytest.raises(WeightsError, match=r"unexpected \(layer1\.2.*It seems to be for resnet34"):
        load_weights(trunk, safetensors.torch.save(color_tensors("resnet34")), backbone="resnet18")


def test_a_file_of_part_of_the_backbone_says_to_cut_it() -> None:
    tensors = {key: v for key, v in color_tensors("resnet18").items() if not key.startswith(("layer4", "fc"))}
    trunk = build_network(ModelSettings("resnet18", input_size=64), 2, seed=0).trunk

    with pytest.raises(WeightsError, match=r"a part of resnet18: set model.truncate_at to the last layer"):
        load_weights(trunk, safetensors.torch.save(tensors), backbone="resnet18")


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


@pytest.mark.parametrize(
    "data",
    [b"", b"not weights", saved({"epoch": Harmful()}), b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}", saved([1, 2])[:99]],
    ids=["empty", "text", "code", "broken-header", "cut-off"],
)
def test_what_is_not_weights_is_one_sentence(data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WeightsError, match=r"neither a safetensors file nor a state dict .*save one with torch.save"):
        load_weights(grey_trunk(), data, backbone=NAME)

    assert capsys.readouterr().out == ""


def test_a_file_without_tensors_says_so() -> None:
    with pytest.raises(WeightsError, match="holds no tensors"):
        load_weights(grey_trunk(), saved({"epoch": 3}), backbone=NAME)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone.safetensors cannot be read: No such file"):
        load_weights(grey_trunk(), tmp_path / "gone.safetensors", backbone=NAME)


@pytest.mark.data
def test_real_inception_weights_give_the_color_networks_features(shared_data: Path) -> None:
    path = shared_data / "weights" / "inception_v3_imagenet_to_mixed_7a.safetensors"
    settings = ModelSettings("inception_v3", truncate_at="Mixed_7a", mean=128.0, std=128.0, input_size=128)
    images = torch.randint(0, 256, (1, 1, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    color = timm.create_model("inception_v3", num_classes=0).eval()
    color.load_state_dict({k: v.float() for k, v in safetensors.torch.load_file(path).items()}, strict=False)
    seen: list[torch.Tensor] = []
    color.Mixed_7a.register_forward_hook(lambda module, inputs, output: seen.append(output))

    network = build_network(settings, 14, seed=0, weights=path).eval()
    with torch.no_grad():
        color((images.float().expand(-1, 3, -1, -1) - 128) / 128)
        got = network.features(images)

    assert network.head.in_features == 1280
    torch.testing.assert_close(got, seen[0].mean((2, 3)), rtol=1e-4, atol=1e-4)


@pytest.mark.data
def test_real_inception_weights_in_a_whole_inception_say_where_they_end(shared_data: Path) -> None:
    path = shared_data / "weights" / "inception_v3_imagenet_to_mixed_7a.safetensors"
    settings = ModelSettings("inception_v3", weights=f"hdfs:///{path.name}")

    with pytest.raises(WeightsError, match=r"^hdfs:.* 90 missing \(Mixed_7b.*set model.truncate_at to Mixed_7a"):
        build_network(settings, 14, seed=0, weights=path.read_bytes())
