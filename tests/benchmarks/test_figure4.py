import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.figure4 import meta_model
from benchmarks.figure4.figure4_page import draw_figure4, make_figure4_page, write_figure4
from benchmarks.figure4.meta_model import (
    KINDS,
    META_GENOME,
    NETWORKS,
    Trained,
    compare_relu,
    meta_spec,
    run_figure4,
)
from benchmarks.intervals import t_interval
from scarlet_tf.models import build, get_weights, set_weights
from scarlet_tf.training.config import train_config


def test_meta_models():
    small, deep = (meta_spec(network, "let", classes=10) for network in NETWORKS)
    assert [block.kind == "let" for block in small.blocks] == [False, True, False, True, False, False]
    assert [block.kernel_size for block in small.blocks if block.kind != "let"] == [3, 3, 3, 5]  # genes 1, 0, 0, 9
    assert [block.kind == "let" for block in deep.blocks] == [gene == 12 for gene in META_GENOME]
    assert deep.blocks[-1].out_channels == 80 and deep.resolution == 32
    for network in NETWORKS:
        plain, relu = (meta_spec(network, kind, classes=10) for kind in KINDS)
        assert [b.kind for b in relu.blocks] == [b.kind.replace("let", "let_relu") for b in plain.blocks]
        assert relu.name == f"meta_{network}_let_relu"


def test_both_kinds_have_the_same_weights_but_compute_something_else():
    plain, relu = (build(meta_spec("small", kind, classes=10), classifier_activation=None) for kind in KINDS)
    set_weights(relu, get_weights(plain))
    images = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)
    a, b = np.asarray(plain(images)), np.asarray(relu(images))
    assert np.abs(a - b).max() > 1e-2 * np.abs(a).max()


def trained(curve, test):
    return Trained(steps=np.array([5, 10]), curve=np.array(curve), test=np.array(test))


def test_comparison_is_paired_by_seed():
    kinds = {
        "let": trained([[0.5, 0.8], [0.4, 0.6]], [0.9, 0.7]),
        "let_relu": trained([[0.5, 0.7], [0.4, 0.3]], [0.8, 0.5]),
    }
    found = compare_relu(kinds)
    t = 12.7062  # Student's, for one degree of freedom
    training, test = found["training"], found["test"]
    assert (training.value, training.low, training.high) == pytest.approx((0.2, 0.2 - 0.1 * t, 0.2 + 0.1 * t), abs=1e-4)
    assert (test.value, test.low, test.high) == pytest.approx((0.15, 0.15 - 0.05 * t, 0.15 + 0.05 * t), abs=1e-4)


def test_runs_are_gathered_by_network_and_kind(tmp_path, tiny_data, monkeypatch):
    def scripted_training(spec, data, config, *, output, log_every):
        """Accuracy falls with the seed and with a ReLU."""
        output.mkdir(parents=True)
        best = 0.9 - 0.1 * config.seed - 0.05 * spec.name.endswith("relu")
        lines = [json.dumps({"step": step, "accuracy": best * step / 24}) for step in range(log_every, 25, log_every)]
        (output / "log.jsonl").write_text("\n".join(lines))
        return {"test": {"top1": best}, "seconds": 1.0}

    monkeypatch.setattr(meta_model, "train", scripted_training)
    config = train_config("small", epochs=1.0)
    found = run_figure4(tiny_data, config, tmp_path, seeds=2)
    for network in NETWORKS:
        for kind, worse in (("let", 0.0), ("let_relu", 0.05)):
            run = found[network][kind]
            np.testing.assert_allclose(run.test, [0.9 - worse, 0.8 - worse])
            assert run.steps.tolist() == list(range(2, 25, 2))
            np.testing.assert_allclose(run.curve[1, -1], (0.8 - worse) * 23.5 / 24)
    page = write_figure4(tmp_path, tiny_data, config, found, command="python tools/reproduce.py --figure=4")
    assert page == (tmp_path / "figure4.md").read_text()
    assert "    python tools/reproduce.py --figure=4\n" in page and "seeds 0 to 1" in page
    assert "| 0.8323, 0.8500 | 0.7833, 0.8000 | 0.049 [" in page and "| 0.050 [0.050, 0.050] |" in page
    result = json.loads((tmp_path / "figure4.json").read_text())
    assert result["without_less_with_relu"]["deep"]["test"]["value"] == pytest.approx(0.05)
    np.testing.assert_allclose(result["networks"]["small"]["let"]["test"], [0.9, 0.8])
    assert (tmp_path / "figure4.svg").exists() and (tmp_path / "figure4.png").exists()
    panels = draw_figure4(result).axes
    assert [axes.get_title() for axes in panels] == ["small, mean and range of seeds", "deep, mean and range of seeds"]
    for axes in panels:
        assert axes.get_legend_handles_labels()[1] == ["LET, test 0.8500", "LET and ReLU, test 0.8000"]
        assert [line.get_xdata().tolist() for line in axes.lines] == [list(range(2, 25, 2))] * 2
        np.testing.assert_allclose([line.get_ydata()[-1] for line in axes.lines], [0.8323, 0.7833], atol=5e-5)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 8
    with pytest.raises(ValueError, match=r"seeds must be >= 1, got 0"):
        run_figure4(tiny_data, config, tmp_path, seeds=0)


def test_recorded_page_is_that_of_the_recorded_numbers():
    recorded = Path(__file__).parents[2] / "zoo" / "results" / "figure4.json"
    result = json.loads(recorded.read_text())
    assert make_figure4_page(result) == recorded.with_suffix(".md").read_text()
    assert set(result["without_less_with_relu"]) == set(NETWORKS)
    for network, less in result["without_less_with_relu"].items():
        let, relu = (result["networks"][network][kind] for kind in KINDS)
        last = np.array(let["curve"])[:, -1] - np.array(relu["curve"])[:, -1]
        assert less["training"] == pytest.approx(dataclasses.asdict(t_interval(last)))
        assert less["test"] == pytest.approx(dataclasses.asdict(t_interval(np.subtract(let["test"], relu["test"]))))
