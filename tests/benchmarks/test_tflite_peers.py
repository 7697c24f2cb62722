"""The peers' benchmark with tiny networks: files, figures, table and chart; and what the command refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.machine import machine
from benchmarks.tflite_peers import peer_files
from benchmarks.tflite_peers.measurements import Measured, make_result, measure_files
from benchmarks.tflite_peers.peer_files import NAMES, NetworkFile, choose_networks, make_files
from benchmarks.tflite_peers.peers_page import draw_bars, make_page
from scarlet_tf.latency import HostLatency
from scarlet_tf.tflite import count_madds

RECORDED = Path(__file__).parents[2] / "zoo" / "results" / "tflite_peers.json"
NETWORKS = ("SCARLET-A", "EfficientNetB0")
FORMATS = ("float32", "int8")
KINDS = [(name, form, rewritten) for name in NETWORKS for form in FORMATS for rewritten in (False, True)]


def tiny_network(kernel):
    def build():
        import keras

        inputs = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.DepthwiseConv2D(kernel, padding="same")(keras.layers.ReLU(6.0)(x))
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(5, activation="softmax")(x))

    return build


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    networks = {"SCARLET-A": tiny_network(7), "EfficientNetB0": tiny_network(3)}
    folder = tmp_path_factory.mktemp("cache") / "files"
    first = make_files(networks, FORMATS, folder, seed=0)
    unusable = dict.fromkeys(networks)  # not built again
    assert make_files(unusable, FORMATS, folder, seed=0) == first
    assert {path for path in folder.iterdir()} == {file.path for file in first}
    return first


def test_files_are_of_the_benchmarks_own_source_too(tmp_path, monkeypatch):
    monkeypatch.setattr(peer_files, "_convert", lambda *_, **__: None)
    monkeypatch.setattr(peer_files, "rewritten", lambda path: path)

    def name():
        return make_files({"a": None}, ["float32"], tmp_path / "cache", seed=0)[0].path.name

    before = name()
    monkeypatch.setattr(peer_files, "_HERE", shutil.copytree(peer_files._HERE, tmp_path / "peers"))
    assert name() == before
    with open(tmp_path / "peers" / "peer_files.py", "a") as source:
        source.write("# another one\n")
    assert name() != before


@pytest.mark.slow
def test_files(files):
    assert [(file.network, file.format, file.rewritten) for file in files] == KINDS
    same = {kind[:2]: plain.path.read_bytes() == rewritten.path.read_bytes() for kind, plain, rewritten in pairs(files)}
    assert same["EfficientNetB0", "float32"]
    assert not same["SCARLET-A", "float32"] and not same["SCARLET-A", "int8"]
    madds = [count_madds(file.path) for file in files]
    plain = [16 * 16 * 4 * (27 + 49) + 20] * 2 + [16 * 16 * 4 * (27 + 9) + 20] * 2
    assert madds[::2] == plain
    # Grouped convolutions over blocks also multiply the zeros of their weights.
    assert all(rewritten >= count for rewritten, count in zip(madds[1::2], plain, strict=True))


def pairs(files):
    return [
        ((plain.network, plain.format), plain, rewritten)
        for plain, rewritten in zip(files[::2], files[1::2], strict=True)
    ]


def test_recorded_page_is_that_of_the_recorded_numbers():
    page = make_page(json.loads(RECORDED.read_text()), picture="tflite_peers.svg")
    assert page == RECORDED.with_suffix(".md").read_text()


@pytest.mark.slow
def test_result_and_page(files):
    measured = measure_files(files, threads=1, rounds=4, warmup=1, seed=0)
    result = make_result(measured, command="python -m benchmarks.tflite_peers --rounds=4", seed=0, warmup=1)
    assert json.loads(json.dumps(result)) == result
    assert (result["rounds"], result["warmup"], result["threads"], result["seed"]) == (4, 1, 1, 0)
    assert result["machine"] == machine()
    assert set(result["versions"]) == {"ai-edge-litert", "tensorflow", "keras", "numpy", "python"}
    assert len(result["files"]) == 8
    for row in result["files"]:
        assert 0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"]
        assert row["partitions"] >= 1 and row["bytes"] > 1000 and len(row["sha256"]) == 64
    page = make_page(result, picture="tflite_peers.svg")
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 8 and len({line.count("|") for line in table}) == 1
    assert "    python -m benchmarks.tflite_peers --rounds=4\n" in page


def test_chart_has_a_bar_for_every_file_grouped_by_network():
    result = json.loads(RECORDED.read_text())
    files = result["files"]
    figure = draw_bars(result)
    (axes,) = figure.axes
    (bars,) = axes.containers
    assert [bar.get_width() for bar in bars] == [file["median_ms"] for file in files]
    assert [bar.get_facecolor()[3] for bar in bars] == [1.0 if file["rewritten"] else 0.45 for file in files]
    assert len({bar.get_facecolor()[:3] for bar in bars}) == len({file["format"] for file in files}) == 4
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == list(dict.fromkeys(file["network"] for file in files))
    middles = [bar.get_y() + bar.get_height() / 2 for bar in bars]
    for name, place in zip(names, axes.get_yticks(), strict=True):
        own = [middle for middle, file in zip(middles, files, strict=True) if file["network"] == name]
        assert place == pytest.approx(np.mean(own)) and max(own) - min(own) == pytest.approx(len(own) - 1)
    assert [text.get_text() for text in axes.texts] == [f"{file['median_ms']:.1f}" for file in files]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["float32", "float16", "dynamic", "int8", "pale: plain", "full: rewritten"]
    files[0]["median_ms"] = float("nan")
    with pytest.raises(ValueError, match="'times' needs finite numbers"):
        draw_bars(result)


def test_ratios_are_of_the_same_round(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"content")
    files = [
        NetworkFile(network=name, format=form, rewritten=rewritten, path=tmp_path / "a.tflite")
        for name, form, rewritten in KINDS
    ]
    rounds = np.array([1.0, 3.0, 9.0])  # a machine that slows down
    measured = [fake(file, tuple(rounds * (position + 1))) for position, file in enumerate(files)]
    result = make_result(measured, command="python -m benchmarks.tflite_peers", seed=0, warmup=0)
    ratios = {(" ".join(r["numerator"]), " ".join(r["denominator"])): r for r in result["ratios"]}
    assert {pair: ratio["median"] for pair, ratio in ratios.items()} == {
        ("SCARLET-A float32 rewritten", "SCARLET-A float32 plain"): 2.0,
        ("SCARLET-A float32 rewritten", "EfficientNetB0 float32 plain"): 0.4,
        ("SCARLET-A float32 rewritten", "EfficientNetB0 float32 rewritten"): 0.3333,
        ("SCARLET-A int8 rewritten", "SCARLET-A int8 plain"): 1.3333,
        ("SCARLET-A int8 rewritten", "SCARLET-A float32 rewritten"): 2.0,
        ("SCARLET-A int8 rewritten", "EfficientNetB0 int8 plain"): 0.5714,
        ("SCARLET-A int8 rewritten", "EfficientNetB0 int8 rewritten"): 0.5,
        ("EfficientNetB0 float32 rewritten", "EfficientNetB0 float32 plain"): 1.2,
        ("EfficientNetB0 int8 rewritten", "EfficientNetB0 int8 plain"): 1.1429,
        ("EfficientNetB0 int8 rewritten", "EfficientNetB0 float32 rewritten"): 1.3333,
    }
    assert all(ratio["p10"] == ratio["median"] == ratio["p90"] for ratio in ratios.values())


def fake(file, round_ms):
    latency = HostLatency(
        path=str(file.path),
        median_ms=round_ms[1],
        p10_ms=round_ms[0],
        p90_ms=round_ms[2],
        ratio=1.0,
        runs=3,
        threads=1,
        partitions=1,
        madds=10,
        sgemm_gmadds=40.0,
        utilisation=0.5,
        round_ms=round_ms,
    )
    return Measured(file=file, latency=latency)


def test_unknown_names(tmp_path):
    with pytest.raises(ValueError, match=r"unknown network .MobileNetV4.: .* nearest is .MobileNetV2."):
        choose_networks(["MobileNetV4"])
    with pytest.raises(ValueError, match=r"unknown format 'int9': expected one of .*, nearest is 'int8'"):
        make_files({"a": tiny_network(3)}, ["int9"], tmp_path / "cache", seed=0)
    with pytest.raises(ValueError, match="at least one network"):
        make_files({}, FORMATS, tmp_path / "cache", seed=0)
    assert not list(tmp_path.iterdir())
    assert list(choose_networks(NAMES)) == list(NAMES)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--networks=SCARLET-D"], "unknown network 'SCARLET-D'"),
        (["--formats=int9"], "unknown format 'int9'"),
        (["--output=/dev/null/peers"], "/dev/null is not a folder"),
        (["--rounds=0"], "rounds"),
    ],
)
def test_refuses(flags, message, tmp_path, call_experiment):
    result = call_experiment("tflite_peers", "--output=peers", "--cache=cache", *flags, cwd=tmp_path)
    lines = result.stderr.splitlines()
    assert result.returncode == 2 and len(lines) == 1 and message in lines[0]
    assert not result.stdout and not list(tmp_path.iterdir())
