"""timm's download of ImageNet weights, from a hub that this test serves on this machine."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from radspark.nn.network import build_network
from radspark.nn.timm_import import timm
from radspark.settings import ModelSettings

FILE = "timm/test_resnet.r160_in1k/resolve/main/model.safetensors"


class Hub(http.server.SimpleHTTPRequestHandler):
    """The two answers of a hub that a download needs: what a file is, and the file."""

    def end_headers(self) -> None:
        file = Path(self.translate_path(self.path))
        if file.is_file():
            self.send_header("ETag", f'"{hashlib.sha256(file.read_bytes()).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Its address, and the file of weights for color images that it serves."""
    file = tmp_path / "hub" / FILE
    file.parent.mkdir(parents=True)
    torch.manual_seed(5)
    safetensors.torch.save_file(timm.create_model("test_resnet").state_dict(), file)
    handler = functools.partial(Hub, directory=str(tmp_path / "hub"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", file
        server.shutdown()


def test_downloaded_weights_give_what_the_file_gives(hub: tuple[str, Path], tmp_path: Path) -> None:
    address, file = hub
    script = [sys.executable, str(Path(__file__).with_name("hub_script.py"))]
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
    network = build_network(ModelSettings(backbone="test_resnet", input_size=64), 2, seed=0, weights=file).eval()
    image = torch.arange(64 * 64).remainder(251).to(torch.uint8).view(1, 1, 64, 64)
    with torch.inference_mode():
        expected = network.features(image)[0].numpy()
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=1e-5, atol=1e-6)
