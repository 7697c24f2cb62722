"""The cost tables' experiment: errors, networks measured beside a table, and the page."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.latency_table import comparison
from benchmarks.latency_table.comparison import choose_networks, compare, errors
from benchmarks.latency_table.latency_table_page import make_page
from benchmarks.machine import provenance
from scarlet_tf.arch import count_genomes, get_space
from scarlet_tf.arch.cost_table import CostTable, NetworkCost, PartCost
from scarlet_tf.arch.parts import parts_of
from scarlet_tf.latency.journal import Journal
from scarlet_tf.zoo import get_spec

SPACE = get_space("small")


@pytest.fixture
def table():
    """Costs that multiply-adds explain only in part."""
    rng = np.random.default_rng(0)
    costs = {part.name: PartCost(value=(1 + part.madds) * rng.uniform(0.3, 3)) for part in parts_of(SPACE)}
    facts = {"target": "arm64", "quantize": "int8", "unit": "instructions", "device": {}, "versions": {}}
    fitted = [NetworkCost(genome=tuple(g), measured=2e6, predicted=2e6) for g in SPACE.random(rng, 5).tolist()]
    return CostTable(
        **facts,
        settings={},
        space=SPACE,
        call=0.0,
        costs=costs,
        scale=1.0,
        fitted=tuple(fitted[:4]),
        held_out=(fitted[4],),
    )


def test_errors():
    found = errors(np.array([1.0, 2.02, 3.0, 4.4]), np.array([1.0, 2.0, 4.0, 4.0]))
    assert found["mean_error"] == pytest.approx((0 + 0.01 + 0.25 + 0.1) / 4) and found["max_error"] == 0.25
    assert found["within"] == {"0.005": 0.25, "0.01": 0.25, "0.02": 0.5, "0.05": 0.5}
    assert found["tau"] == pytest.approx(5 / np.sqrt(6 * 5))  # the third and fourth are measured alike


def test_the_named_networks_come_first():
    networks = choose_networks(get_space("scarlet"), 3, seed=0)
    assert list(networks) == ["scarlet_a", "scarlet_b", "scarlet_c", "random_0", "random_1", "random_2"]
    assert networks["scarlet_b"] == get_spec("scarlet_b").genome


@pytest.mark.parametrize("unit", ["instructions", "ms"])
def test_networks_against_the_table(table, unit, tmp_path, monkeypatch):
    """Whose costs are what the table says, and a tenth more for one."""
    table, rounds = dataclasses.replace(table, unit=unit), []
    networks = {f"n{i}": tuple(genome) for i, genome in enumerate(SPACE.random(np.random.default_rng(1), 4).tolist())}
    costs = dict(zip(networks, table.quantity()(np.array(list(networks.values()))).tolist(), strict=True))
    costs["n2"] *= 1.1

    class Fake:
        settings = {"cpu": "none"}  # noqa: RUF012

        def measure(self, files, journal):
            rounds.append(list(files))
            journal.add({name: [costs.get(name, 0), costs.get(name, 0)] for name in files})

    def make_table(space, target, output, *, seed):
        target.measure({"part": Path("part")}, Journal(tmp_path / f"{seed}{output.name}", {}))
        assert target.settings == {"cpu": "none"}
        return table

    monkeypatch.setattr("scarlet_tf.latency.table_maker.make_table", make_table)
    monkeypatch.setitem(comparison.TARGETS, "arm64", Fake)
    path = tmp_path / "network.tflite"
    path.write_bytes(b"a network")
    paths = dict.fromkeys(networks, path)
    found = compare(SPACE, "arm64", networks, paths, seed=1, cache=tmp_path)
    assert rounds == [["part"], [*networks] if unit == "instructions" else ["part", *networks]]
    assert [network["measured"] for network in found["networks"]] == list(costs.values())
    assert found["table"]["max_error"] == pytest.approx(1 - 1 / 1.1)
    assert found["table"]["mean_error"] == pytest.approx((1 - 1 / 1.1) / 4)
    madds = count_genomes(SPACE, np.array(list(networks.values())))[0]
    of_one = np.mean(2e6 / count_genomes(SPACE, np.array([n.genome for n in table.fitted]))[0])
    assert found["madds"]["max_error"] == pytest.approx(np.abs(of_one * madds / list(costs.values()) - 1).max())


def test_page():
    source = {"mean_error": 0.001, "max_error": 0.0034, "within": dict.fromkeys("abcd", 1.0), "tau": 0.9951}
    target = {
        "target": "arm64",
        "seconds": 123.4,
        "parts": 463,
        "parts_measured": 151,
        "scale": 0.9998,
        "table_held_out": {"mean_error": 0.001, "max_error": 0.002},
        "table": source,
        "madds": source,
        "networks": [{}] * 43,
    }
    result = provenance("python -m benchmarks.latency_table") | {"targets": [target]}
    page = make_page(json.loads(json.dumps(result)))
    assert "| arm64 | table | 0.10 % | 0.34 % | 100 % | 100 % | 100 % | 100 % | 0.995 |" in page
    assert "takes 123 s, with 151 of 463 parts measured; scale 0.9998" in page
