import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.intervals import t_interval
from benchmarks.supernet_settings.variants import BASE, make_page, measure, variants
from scarlet_tf.data import DataConfig
from scarlet_tf.supernet import SupernetConfig, SupernetEvaluator, load_supernet

RECORDED = Path(__file__).parents[2] / "zoo" / "results" / "supernet_settings.json"


@pytest.fixture
def base(bright_images, one_layer_space) -> SupernetConfig:
    folder = bright_images(side=8, classes=2, train=12, test=2)
    data = DataConfig(name=f"folder:{folder}", image_size=8, search_validation=8)
    return SupernetConfig(space=one_layer_space, data=data, steps=2, batch_size=4, learning_rate=0.2)


def test_variants_differ_from_the_base_in_one_setting_each(base):
    changed = {}
    for name, config in variants(base).items():
        differing = [f.name for f in dataclasses.fields(base) if getattr(config, f.name) != getattr(base, f.name)]
        changed[name] = (differing, config)
    assert changed.pop(BASE)[0] == []
    assert [fields for fields, _ in changed.values()] == [
        ["shared_gradient"],
        ["init"],
        ["learning_rate"],
        ["learning_rate"],
    ]
    assert changed["let_init=normal"][1].init.let == "normal"
    assert changed["learning_rate=0.4"][1].learning_rate == 0.4


@pytest.mark.slow
def test_measures_every_variant_and_goes_on(base, tmp_path):
    found = measure(base, tmp_path, seeds=1, paths=3, images=8)
    assert list(found) == list(variants(base))
    supernet = load_supernet(tmp_path / "shared_gradient_sum_seed0")
    assert supernet.config == variants(base)["shared_gradient=sum"]
    genomes = base.space.random(np.random.default_rng(0), 3)
    accuracies = SupernetEvaluator(supernet, bn="recalibrated", images=8).evaluate(genomes)
    values = found["shared_gradient=sum"]["recalibrated"]
    assert values == {"mean": [accuracies.mean()], "worst": [accuracies.min()]}
    difference = values["mean"][0] - found[BASE]["recalibrated"]["mean"][0]
    assert found["shared_gradient=sum"]["mean_less_base"] == {
        "value": difference,
        "low": None,
        "high": None,
        "level": 0.95,
    }
    assert measure(base, tmp_path, seeds=1, paths=3, images=8) == found


def test_recorded_page_is_that_of_the_recorded_numbers():
    result = json.loads(RECORDED.read_text())
    assert make_page(result) == RECORDED.with_suffix(".md").read_text()
    means = {name: np.array(values["recalibrated"]["mean"]) for name, values in result["variants"].items()}
    for name, values in result["variants"].items():
        if name != BASE:
            expected = dataclasses.asdict(t_interval(means[name] - means[BASE]))
            assert values["mean_less_base"] == pytest.approx(expected)
