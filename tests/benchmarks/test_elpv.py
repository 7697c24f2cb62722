import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks.elpv.elpv_page import OURS, choose_epochs, make_page, measure, summarize
from benchmarks.elpv.photographs import choose_test, find_labels, read_labels, write_folder
from benchmarks.elpv.trainings import Arm, build_network, train_seed
from benchmarks.machine import provenance
from scarlet_tf.training.config import train_config
from scarlet_tf.zoo import StartingPoint

RECORDED = Path(__file__).parents[2] / "zoo" / "results" / "elpv.json"


@pytest.fixture
def labels(tmp_path) -> Path:
    """A package's folder of 40 grey images, of which every fifth shows a defect as a bright square."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    (tmp_path / "data" / "images").mkdir(parents=True)
    lines = []
    for number in range(40):
        probability = (1.0, 0.0, 1 / 3, 0.0, 0.0)[number % 5]
        pixels = rng.integers(0, 60, (36, 36, 1)).astype(np.uint8)
        pixels[8:24, 8:24] += np.uint8(150 * (probability > 0.5))
        name = f"images/cell{number:04d}.png"
        (tmp_path / "data" / name).write_bytes(tf.io.encode_png(pixels).numpy())
        lines.append(f"{name}  {probability:.16g} {'mono' if number % 2 else 'poly'}")
    (tmp_path / "data" / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "data" / "labels.csv"


def test_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps elpv-dataset"):
        find_labels()


def test_defective_is_a_probability_above_a_half(tmp_path):
    lines = ["a.png  0.0 mono", "b.png  0.3333333333333333 poly", "c.png  0.6666666666666666 mono", "d.png  1.0 poly"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    assert [(path.name, name) for path, name in read_labels(tmp_path / "labels.csv")] == [
        ("a.png", "functional"),
        ("b.png", "functional"),
        ("c.png", "defective"),
        ("d.png", "defective"),
    ]


def test_split_of_the_real_counts_leaves_1970_for_training_and_each_class_its_share():
    classes = ["functional"] * 1803 + ["defective"] * 821
    chosen = choose_test(classes)
    assert (~chosen).sum() == 1970
    assert chosen[:1803].sum() == round(654 / 2624 * 1803)
    assert chosen[1803:].sum() == round(654 / 2624 * 821)
    assert (choose_test(classes) == chosen).all()
    assert (choose_test(classes, seed=1) != chosen).any()


def test_folder_holds_every_image_once_and_is_written_once(labels, tmp_path):
    folder = tmp_path / "images"
    counts = write_folder(folder, labels)
    assert counts == {"train": {"defective": 6, "functional": 24}, "test": {"defective": 2, "functional": 8}}
    found = sorted(folder.glob("*/*/*.png"))
    assert sorted(path.name for path in found) == [f"cell{number:04d}.png" for number in range(40)]
    assert all((int(path.stem[4:]) % 5 == 0) == (path.parent.name == "defective") for path in found)
    assert all(path.read_bytes() == (labels.parent / "images" / path.name).read_bytes() for path in found)
    assert write_folder(folder, labels) == counts
    found[3].unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks .*{found[3].name}"):
        write_folder(folder, labels)


def test_balanced_accuracy_is_the_mean_recall():
    assert measure([[3, 1], [2, 14]]) == {"accuracy": 17 / 20, "balanced_accuracy": (3 / 4 + 14 / 16) / 2}


def test_each_metric_is_that_of_its_own_best_epoch_or_of_the_last():
    poor, uneven, even = [[2, 2], [4, 12]], [[1, 3], [0, 16]], [[4, 0], [4, 12]]
    chosen = choose_epochs([poor, even, uneven, poor])
    assert chosen["baseline_test"] == {"accuracy": 17 / 20, "balanced_accuracy": 7 / 8}
    assert chosen["baseline_last"] == measure(poor)


@pytest.fixture
def runs() -> list[dict]:
    """Three seeds with made-up confusion matrices of ten images of each class."""

    def record(confusion, **more):
        return {"confusion": confusion, "params": 1234, "epochs": 2.0, "seconds": 5.0, **more}

    def matrix(hits):
        return [[hits, 10 - hits], [0, 10]]

    return [
        {
            "seed": seed,
            "finetuned": record(matrix(own)),
            "scratch": record(matrix(5)),
            "baseline": record([matrix(its)]),
        }
        for seed, (own, its) in enumerate([(6, 3), (8, 4), (10, 8)])
    ]


def test_intervals_are_of_the_differences_in_pairs(runs):
    accuracy = summarize(runs)["finetuned"]["accuracy"]
    assert accuracy["values"] == pytest.approx([0.8, 0.9, 1.0])
    # Differences 0.15, 0.2 and 0.1: mean 0.15, standard deviation 0.05; t of two degrees of freedom is 4.302653.
    less = accuracy["less"]["baseline_test"]
    assert less["value"] == pytest.approx(0.15)
    assert less["high"] - less["value"] == pytest.approx(4.302653 * 0.05 / math.sqrt(3), rel=1e-6)


def test_page_shows_every_arm_with_its_intervals(runs):
    counts = {"train": {"defective": 20, "functional": 80}, "test": {"defective": 10, "functional": 10}}
    page = make_page(
        {
            **provenance("python -m benchmarks.elpv"),
            "images": counts,
            "side": 32,
            "arms": {"finetuned": "tiny, fine-tuned", "scratch": "tiny, from scratch"},
            "summary": summarize(runs),
            "runs": runs,
        }
    )
    # 0.8, 0.9 and 1.0 have a standard deviation of 0.1: 4.302653 * 0.1 / sqrt(3) = 0.248 on either side.
    assert "| tiny, fine-tuned | 1,234 | 2 | 5 | 0.900 [0.652, 1.148] | 0.900 [0.652, 1.148] |" in page
    assert "| finetuned | last epoch | 0.150 [0.026, 0.274] | 0.150 [0.026, 0.274] |" in page
    assert "120 grey photographs" in page and "30 of them defective" in page
    assert sum(line.startswith("| ") for line in page.splitlines()) == 2 + 4 + 4  # two heads, four arms, four pairs


def test_recorded_page_and_summary_are_those_of_the_recorded_runs():
    result = json.loads(RECORDED.read_text())
    page = RECORDED.with_suffix(".md").read_text()
    assert make_page(result) == page
    assert make_page(result | {"summary": summarize(result["runs"])}) == page
    assert len(result["runs"]) == 3
    for run in result["runs"]:
        assert run["baseline"]["seconds"] >= max(run[arm]["seconds"] for arm in OURS)
        for arm in OURS:
            assert np.sum(run[arm]["confusion"]) == sum(result["images"]["test"].values()) == 654


def tiny_network(side, classes):
    layers = [keras.Input((side, side, 3)), keras.layers.Conv2D(4, 5, strides=4), keras.layers.BatchNormalization()]
    return keras.Sequential(
        [*layers, keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(classes, activation="softmax")]
    )


def test_baseline_is_the_minimalistic_network_with_quick_statistics():
    model = build_network(32, 2)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms and {layer.momentum for layer in norms} == {0.9}
    assert not any("squeeze_excite" in layer.name for layer in model.layers) and model.output_shape == (None, 2)


@pytest.mark.slow
def test_trains_an_arm_then_the_baseline_and_reads_both_the_second_time(labels, tmp_path, two_layer_space, monkeypatch):
    monkeypatch.setattr("benchmarks.elpv.trainings.build_network", tiny_network)
    write_folder(tmp_path / "images", labels)
    start = StartingPoint(spec=two_layer_space.spec(np.zeros(two_layer_space.num_layers, int)))
    config = train_config("small", epochs=2, batch_size=8, class_weight="balanced")

    def train_again(config):
        arms = {"finetuned": Arm(description="tiny", start=start, config=config)}
        return train_seed(tmp_path / "images", tmp_path, arms, seed=1, side=32)

    run = train_again(config)
    assert np.sum(run["finetuned"]["confusion"], axis=1).tolist() == [2, 8]  # test images by class
    assert run["finetuned"]["epochs"] == 2
    baseline = run["baseline"]
    assert baseline["seconds"] >= run["finetuned"]["seconds"]
    assert len(baseline["confusion"]) == baseline["epochs"]
    assert train_again(config) == run
    with pytest.raises(ValueError, match="epochs"):
        train_again(dataclasses.replace(config, epochs=1))
