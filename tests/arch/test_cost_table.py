"""Cost tables: their files, the quantity they give, and what they refuse."""

import dataclasses
import json

import numpy as np
import pytest

from scarlet_tf.arch import get_space
from scarlet_tf.arch.cost_table import CostTable, CostTableError, NetworkCost, PartCost
from scarlet_tf.arch.parts import parts_of

SPACE = get_space("small")


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    costs = {
        part.name: PartCost(value=float(value), p10=float(value) - 0.1, p90=float(value) + 0.1, samples=3)
        for part, value in zip(parts_of(SPACE), 1 + rng.random(len(list(parts_of(SPACE)))), strict=True)
    }
    first, *_ = costs
    costs[first] = PartCost(value=0.5, estimated_from="another")
    return CostTable(
        target="host",
        quantize="int8",
        unit="ms",
        space=SPACE,
        call=0.25,
        costs=costs,
        scale=1.5,
        fitted=(NetworkCost(genome=(12, 1, 12, 6, 3, 8), measured=2.0, predicted=2.1),),
        held_out=(
            NetworkCost(genome=(0, 1, 12, 6, 3, 8), measured=2.0, predicted=2.1),
            NetworkCost(genome=(1, 1, 12, 6, 3, 8), measured=4.0, predicted=3.0),
        ),
        device={"cpu": "a CPU"},
        versions={"scarlet-tf": "0"},
        settings={"threads": 1},
    )


def test_a_network_costs_a_call_and_the_scaled_parts(table):
    genomes = SPACE.random(np.random.default_rng(1), 9)
    expected = [
        0.25 + 1.5 * sum(table.costs[part.name].value for part in parts_of(SPACE).of(genome)) for genome in genomes
    ]
    np.testing.assert_allclose(table.quantity()(genomes), expected, rtol=1e-14)


def test_files_hold_everything(table, tmp_path):
    table.save(tmp_path / "t.json")
    assert CostTable.load(tmp_path / "t.json") == table
    held_out = json.loads((tmp_path / "t.json").read_text())["held_out"]
    assert (held_out["mean_error"], held_out["max_error"]) == (pytest.approx(0.15), 0.25)


def test_a_table_is_of_the_space_whose_networks_it_measured(table):
    table.check_space(SPACE)
    table.check_space(dataclasses.replace(SPACE, name="other", dropout=0.0))
    table.check_space(SPACE.with_identity("identity"))  # the stand-alone networks are the same
    with pytest.raises(CostTableError, match="of another space than 'small': classes was 10, is 11"):
        table.check_space(dataclasses.replace(SPACE, classes=11))
    with pytest.raises(CostTableError, match=r"of another space than 'scarlet': .* resolution was 32, is 224"):
        table.check_space(get_space("scarlet"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.clear(), "not a cost table: expected an object of format 'scarlet_tf.cost_table'"),
        (lambda data: data.update(version=2), "unsupported version 2 of a cost table: expected 1"),
        (lambda data: data.pop("calibration"), "lacks 'calibration'"),
        (lambda data: data["parts"].pop("stem_32x32x3"), "no cost of part 'stem_32x32x3' of space 'small'"),
        (lambda data: data["parts"]["stem_32x32x3"].update(value=-1), "must be a number >= 0, got -1"),
        (lambda data: data["parts"]["stem_32x32x3"].update(value="1"), "must be a number >= 0, got '1'"),
        (lambda data: data["parts"]["stem_32x32x3"].update(median=1), "is damaged: .*'median'"),
        (lambda data: data["calibration"].update(scale=0), "scale must be a number > 0, got 0"),
        (lambda data: data["calibration"].update(scale=float("nan")), "scale must be a number > 0, got nan"),
        (lambda data: data["calibration"].update(call=None), "call must be a number, got None"),
        (lambda data: data["space"].update(strides=[1]), "is damaged: .*out_channels and strides"),
    ],
)
def test_bad_files(table, tmp_path, change, message):
    data = table.to_dict()
    change(data)
    (tmp_path / "t.json").write_text(json.dumps(data))
    with pytest.raises(CostTableError, match=f"t.json: .*{message}"):
        CostTable.load(tmp_path / "t.json")


def test_truncated_files(table, tmp_path):
    text = json.dumps(table.to_dict())
    (tmp_path / "t.json").write_text(text[: len(text) // 2])
    with pytest.raises(CostTableError, match=r"t\.json: "):
        CostTable.load(tmp_path / "t.json")
