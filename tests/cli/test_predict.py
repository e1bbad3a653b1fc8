"""`radspark predict`: a line for each input, whatever it is."""

from __future__ import annotations

import csv
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.special import logit

from radspark.bundle import load_bundle, save_bundle
from radspark.labels import NIH_FINDINGS
from radspark.metrics.calibration import Calibration
from radspark.metrics.decision import Decision

if TYPE_CHECKING:
    from command_line import Radspark, Trained

pytestmark = pytest.mark.spark
COLUMNS = ["path", "error", *NIH_FINDINGS]


def write_png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(path, format="PNG")
    return path


def huge_png() -> bytes:
    """The start of a PNG of 60,000 x 60,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0" * 64


@pytest.fixture
def bundle(trained: Trained) -> Path:
    return trained.run / "bundle"


def test_each_input_has_a_line_whether_it_is_there_or_not(bundle: Path, tmp_path: Path, radspark: Radspark) -> None:
    write_png(tmp_path / "folder" / "deep" / "b c.png")
    write_png(tmp_path / "a[1].png")
    (tmp_path / "empty").mkdir()
    write_png(tmp_path / "_hidden.png")
    out = tmp_path / "out" / "scores.csv"
    inputs = ["folder", "missing.png", "a[1].png", "empty", "_hidden.png"]
    outcome = radspark("predict", "--bundle", bundle, *(tmp_path / name for name in inputs), "--out", out)
    assert outcome.code == 3, outcome.err
    with out.open() as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == COLUMNS
    assert {row["path"].removeprefix(f"{tmp_path}/"): row["error"] for row in rows} == {
        "_hidden.png": "Spark passes over names that begin with _ or a dot; rename the file.",
        "a[1].png": "",
        "empty": "no file in this folder.",
        "folder/deep/b c.png": "",
        "missing.png": "no such file or folder.",
    }
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert outcome.out == f"2 scored, 3 not, each with its error: {out}\n"


def test_relative_paths_and_files_named_twice_are_one_absolute_line(
    bundle: Path, tmp_path: Path, radspark: Radspark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_png(tmp_path / "in" / "a.png")
    outcome = radspark("predict", "--bundle", bundle, "in", "in/../in/a.png", f"file:{path}", "--out", "s.json")
    assert outcome.code == 0, outcome.err
    (line,) = json.loads(Path("s.json").read_text())
    assert line["path"] == str(path)


def test_bad_files_named_png_are_lines_with_their_error(bundle: Path, tmp_path: Path, radspark: Radspark) -> None:
    good = write_png(tmp_path / "good.png").read_bytes()
    contents = {
        "cut.png": good[: len(good) // 2],
        "damaged.png": good[:40] + bytes(len(good) - 40),
        "empty.png": b"",
        "huge.png": huge_png(),
        "text.png": b"no image, but a few words\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    Image.new("RGB", (64, 64), (200, 30, 90)).save(tmp_path / "color.png")
    out = tmp_path.parent / f"{tmp_path.name}.json"
    outcome = radspark("predict", "--bundle", bundle, tmp_path, "--out", out)
    assert outcome.code == 3, outcome.err
    lines = {Path(line["path"]).name: line for line in json.loads(out.read_text())}
    assert {name for name, line in lines.items() if line["error"]} == {*contents, "color.png"}
    assert "60000" in lines["huge.png"]["error"].replace(",", "")
    assert lines["text.png"]["Effusion"] is None
    assert 0 < lines["good.png"]["Effusion"] < 1
    assert "color" in lines["color.png"]["error"]


def test_the_three_formats_say_the_same(bundle: Path, tmp_path: Path, radspark: Radspark) -> None:
    path = write_png(tmp_path / "a.png")
    for ending in ("csv", "json", "parquet"):
        assert radspark("predict", "--bundle", bundle, path, "--out", tmp_path / f"s.{ending}").code == 0
    table = pq.read_table(tmp_path / "s.parquet")
    (from_json,) = json.loads((tmp_path / "s.json").read_text())
    with (tmp_path / "s.csv").open() as handle:
        (from_csv,) = csv.DictReader(handle)
    assert table.column_names == list(from_json) == list(from_csv) == COLUMNS
    exact = table.to_pylist()[0]["Mass"]
    assert np.float32(from_json["Mass"]) == np.float32(from_csv["Mass"]) == np.float32(exact)


def test_a_calibrated_bundle_gives_its_scores_too(bundle: Path, tmp_path: Path, radspark: Radspark) -> None:
    loaded = load_bundle(bundle)
    calibration = Calibration("temperature", {name: {"temperature": 2.0} for name in NIH_FINDINGS})
    save_bundle(replace(loaded, decision=Decision(calibration).to_dict()), tmp_path / "calibrated")
    write_png(tmp_path / "in" / "a.png")
    for name, folder in (("plain", bundle), ("calibrated", tmp_path / "calibrated")):
        radspark("predict", "--bundle", folder, tmp_path / "in", "--out", tmp_path / f"{name}.parquet")
    plain, calibrated = (pq.read_table(tmp_path / f"{name}.parquet").to_pylist()[0] for name in ("plain", "calibrated"))
    assert list(calibrated) == [*COLUMNS, *(f"{name}_score" for name in NIH_FINDINGS)]
    for name in NIH_FINDINGS:
        assert calibrated[f"{name}_score"] == plain[name]
        assert logit(calibrated[name]) == pytest.approx(logit(plain[name]) / 2, abs=1e-4)


def test_nothing_to_score_is_an_error(bundle: Path, tmp_path: Path, radspark: Radspark) -> None:
    words = ("predict", "--bundle", bundle, tmp_path / "a.png", tmp_path / "b.png", "--out", tmp_path / "s.csv")
    assert f"there is nothing to score: {tmp_path / 'a.png'} (and 1 more): no such file" in radspark(*words).sentence
    assert not (tmp_path / "s.csv").exists()


def test_an_empty_folder_alone_is_an_error(bundle: Path, tmp_path: Path, radspark: Radspark) -> None:
    (tmp_path / "empty").mkdir()
    outcome = radspark("predict", "--bundle", bundle, tmp_path / "empty", "--out", tmp_path / "s.csv")
    assert "no file was found in" in outcome.sentence


def test_another_ending_is_refused_before_spark_starts(tmp_path: Path, radspark: Radspark) -> None:
    outcome = radspark("predict", "--bundle", "none", "a.png", "--out", tmp_path / "s.xlsx")
    assert outcome.sentence == "error: --out must end in .csv, .parquet, .json, got 's.xlsx'."
