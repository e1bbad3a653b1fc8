"""Predictor: a bundle in a process without Spark gives what the network gave."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import logit
from torch import nn

from radspark.bundle import Bundle, save_bundle
from radspark.errors import BundleError, UnreadableImageError
from radspark.labels import LabelSet
from radspark.nn.augmentation import center_crop
from radspark.nn.network import build_network
from radspark.predict.predictor import Predictor
from radspark.settings import ModelSettings, PreparationSettings

LABELS = LabelSet(("Effusion", "Mass"))
MODEL = ModelSettings(backbone="resnet10t", input_size=48)


def make_bundle(**changes: object) -> Bundle:
    network = build_network(MODEL, 2, seed=3)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    values = {"model": MODEL, "preparation": PreparationSettings(size=64), "labels": LABELS, "weights": weights}
    return Bundle(**{**values, **changes})


def images(num: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, 64, 64)).astype(np.uint8)


def test_probabilities_are_those_of_the_networks_evaluation_chain() -> None:
    network = build_network(MODEL, 2, seed=3).eval()
    with torch.inference_mode():
        expected = network(center_crop(torch.from_numpy(images(20)).unsqueeze(1), 48)).sigmoid()
    np.testing.assert_allclose(Predictor(make_bundle()).predict(images(20)), expected.numpy(), atol=1e-6)


def test_an_images_probability_does_not_depend_on_its_neighbours() -> None:
    predictor = Predictor(make_bundle())
    np.testing.assert_allclose(predictor.predict(images(20))[7], predictor.predict(images(20)[7:8])[0], atol=1e-6)


DECISION = {
    "calibration": {"method": "temperature", "findings": {"Effusion": {"temperature": 2.0}, "Mass": {}}},
    "thresholds": {},
    "targets": {},
    "num_samples": 40,
}


def test_probabilities_are_calibrated_and_scores_are_not() -> None:
    plain, calibrated = Predictor(make_bundle()), Predictor(make_bundle(decision=DECISION))
    scores = plain.predict(images(5))
    np.testing.assert_array_equal(calibrated.score(images(5)), scores)
    probabilities = calibrated.predict(images(5))
    np.testing.assert_allclose(logit(probabilities[:, 0]), logit(scores[:, 0]) / 2, rtol=1e-4)
    np.testing.assert_array_equal(probabilities[:, 1], scores[:, 1])


def test_a_decision_of_something_else_is_refused() -> None:
    with pytest.raises(BundleError, match="the bundle's decision cannot be read"):
        Predictor(make_bundle(decision={"calibration": {"method": "magic"}}))


def test_no_images_give_no_rows() -> None:
    assert Predictor(make_bundle()).predict(images(0)).shape == (0, 2)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images must be \(N, 64, 64\), got \(2, 32, 32\)"):
        Predictor(make_bundle()).predict(np.zeros((2, 32, 32), np.uint8))


def test_a_file_is_prepared_as_in_training() -> None:
    buffer = io.BytesIO()
    Image.fromarray(images(1)[0]).save(buffer, "PNG")
    predictor = Predictor(make_bundle())
    np.testing.assert_array_equal(predictor.predict_file(buffer.getvalue()), predictor.predict(images(1))[0])
    with pytest.raises(UnreadableImageError):
        predictor.predict_file(b"no image")


def test_a_fresh_process_without_spark_gives_the_same(tmp_path: Path) -> None:
    save_bundle(make_bundle(), tmp_path / "bundle")
    np.save(tmp_path / "images.npy", images(3))
    script = (
        "import sys; sys.modules['pyspark'] = None\n"
        "import numpy as np\n"
        "from radspark.predict.predictor import Predictor\n"
        f"p = Predictor.load({str(tmp_path / 'bundle')!r}).predict(np.load({str(tmp_path / 'images.npy')!r}))\n"
        f"np.save({str(tmp_path / 'out.npy')!r}, p)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), Predictor(make_bundle()).predict(images(3)), atol=1e-6)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(48 * 48, 2)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.head(batch.float().flatten(1) / 255)


def test_a_users_own_network_asks_for_its_factory() -> None:
    weights = {f"module.{name}": tensor.numpy() for name, tensor in Own().state_dict().items()}
    bundle = make_bundle(weights=weights, user_module="somewhere.Own")
    with pytest.raises(BundleError, match=r"its user's own \(somewhere.Own\); give the function that"):
        Predictor(bundle)
    assert Predictor(bundle, module_factory=Own).predict(images(2)).shape == (2, 2)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(BundleError, match="weights do not fit its network"):
        Predictor(make_bundle(weights={"head.bias": np.zeros(2, np.float32)}))
