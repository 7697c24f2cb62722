"""Searches under two costs: fronts, what is measured of them, figures by hand, and the page."""

import json
import types
from pathlib import Path

import numpy as np
import pytest
from by_genes import ByGenes

from benchmarks.intervals import t_interval
from benchmarks.latency_search.comparison import MeasuredFront, compare_searches, describe_comparison
from benchmarks.latency_search.fronts import COSTS, Front, Searches
from benchmarks.latency_search.latency_search_page import draw_fronts, make_page
from benchmarks.latency_search.measured_files import MeasuredFiles, get_table, make_model, measure_test_accuracies
from benchmarks.machine import provenance
from scarlet_tf.arch import count_genomes, get_space
from scarlet_tf.arch.cost_table import CostTable, NetworkCost, PartCost
from scarlet_tf.arch.parts import parts_of
from scarlet_tf.data import open_dataset
from scarlet_tf.models import get_weights
from scarlet_tf.search import Models, evaluated_models
from scarlet_tf.supernet import PathEvaluator, Supernet
from scarlet_tf.tflite import count_madds

RECORDED = Path(__file__).parents[2] / "zoo" / "results" / "latency_search.json"
SPACE = get_space("small")
SETTINGS = {"supernet": "s", "images": 100, "bn": "recalibrated", "calibration_images": 50}
SUPERNET = {
    "fingerprint": "abc",
    "step": 40,
    "config": {"space": {"name": "small"}, "data": {"name": "flowers"}, "steps": 40, "batch_size": 8},
}


@pytest.fixture(scope="module")
def table():
    """Instructions that multiply-adds explain only in part."""
    rng = np.random.default_rng(0)
    costs = {part.name: PartCost(value=(1 + part.madds) * rng.uniform(0.3, 3)) for part in parts_of(SPACE)}
    network = NetworkCost(genome=(0,) * 6, measured=2e6, predicted=2.1e6)
    return CostTable(
        target="arm64",
        quantize="int8",
        unit="instructions",
        device={},
        versions={"qemu": "7.2"},
        settings={"cpu": "cortex-a76"},
        space=SPACE,
        call=0.0,
        costs=costs,
        scale=1.0,
        fitted=(network,),
        held_out=(network,),
    )


def models(accuracies, instructions, madds):
    values = {"accuracy": np.array(accuracies), "instructions": np.array(instructions), "madds": np.array(madds)}
    count = len(accuracies)
    return Models(ids=np.arange(count), genomes=np.repeat(np.arange(count)[:, None], 6, axis=1), values=values)


def measured(cost, seed, *, test, instructions):
    """A front of three models with the accuracies 0.5, 0.7 and 0.8 in the search, predicted a tenth too low."""
    found = models([0.5, 0.7, 0.8], 0.9 * np.array(instructions), np.array(instructions) / 2)
    front = Front(cost=cost, seed=seed, evaluated=50, models=found)
    return MeasuredFront(front=front, models=found, instructions=np.array(instructions), test_accuracies=np.array(test))


def test_models_are_spread_along_the_front():
    front = Front(cost="madds", seed=0, evaluated=9, models=models(np.arange(9) / 10, np.arange(9.0), np.arange(9)))
    assert front.spread(5).values["madds"].tolist() == [0, 2, 4, 6, 8]
    assert front.spread(2).values["madds"].tolist() == [0, 8]
    assert front.spread(20).values["madds"].tolist() == list(range(9))


def test_figures_by_hand(table):
    searches = Searches(table, population=8, generations=3)
    low, high = searches.box
    by_hand = [low + share * (high - low) for share in (0.1, 0.2, 0.4)]
    assert searches.hypervolume(np.array([0.5, 0.7, 0.6]), np.array(by_hand)) == pytest.approx(0.5 * 0.1 + 0.7 * 0.8)
    fronts = [
        measured("madds", 0, test=[0.5, 0.6, 0.8], instructions=[2e6, 5e6, 9e6]),
        measured("instructions", 0, test=[0.5, 0.7, 0.6], instructions=[1e6, 4e6, 8e6]),
        measured("madds", 1, test=[0.4, 0.5, 0.6], instructions=[2e6, 5e6, 9e6]),
        measured("instructions", 1, test=[0.4, 0.6, 0.7], instructions=[2e6, 4e6, 8e6]),
    ]
    result = describe_comparison(searches, fronts, most=3)
    volumes = [search["hypervolume"] for search in result["searches"]]
    assert volumes == [searches.hypervolume(front.test_accuracies, front.instructions) for front in fronts]
    gain = t_interval(np.array([volumes[1] - volumes[0], volumes[3] - volumes[2]]))
    assert result["hypervolume"]["gain"] == pytest.approx([gain.value, gain.low, gain.high])
    first, *_, last = result["budgets"]
    assert (first["budget"], last["budget"]) == (5e6, 8e6)  # the second cheapest, the most expensive
    assert first["madds"][0] == pytest.approx(0.55) and first["instructions"][0] == pytest.approx(0.65)
    # Of the three models within 8e6, the best in the search has a test accuracy of 0.6, not 0.7.
    assert last["instructions"][0] == pytest.approx((0.6 + 0.7) / 2) and last["gain"][0] == pytest.approx(0.1)
    assert result["prediction"]["table"]["mean_error"] == pytest.approx(0.1)
    assert result["prediction"]["instructions_per_madd"] == pytest.approx(2)
    assert result["prediction"]["madds"]["max_error"] == pytest.approx(0)


def test_searches_end_to_end(table, tmp_path):
    """With instructions a quarter above the table's, and other accuracies on the test images."""
    searches, evaluator = Searches(table, population=8, generations=4), ByGenes()
    predict, counted = table.quantity(), []

    def count(genomes):
        counted.extend(map(tuple, genomes.tolist()))
        return 1.25 * predict(genomes)

    def compare(evaluator):
        return compare_searches(
            searches,
            evaluator,
            seeds=range(2),
            most=4,
            cache=tmp_path,
            count=count,
            test=lambda genomes: evaluator.evaluate(genomes) - 0.1,
        )

    fronts = compare(evaluator)
    assert [(front.front.seed, front.front.cost) for front in fronts] == [(s, cost) for s in (0, 1) for cost in COSTS]
    assert len(set(counted)) == len(counted) <= 16
    for front in fronts:
        values = front.front.models.values
        np.testing.assert_allclose(front.instructions, 1.25 * predict(front.models.genomes))
        np.testing.assert_allclose(front.test_accuracies, front.models.values["accuracy"] - 0.1)
        np.testing.assert_array_equal(values["madds"], count_genomes(SPACE, front.front.models.genomes)[0])
        (archive,) = tmp_path.glob(f"{front.front.cost}_seed{front.front.seed}_8x4_*/archive.sqlite")
        everything = evaluated_models(archive).values
        assert front.front.evaluated == len(everything["accuracy"]) == 8 * 6
        for accuracy, cost in zip(everything["accuracy"], everything[front.front.cost], strict=True):
            as_good = (values["accuracy"] >= accuracy) & (values[front.front.cost] <= cost)
            assert as_good.any()
        assert (np.diff(values["accuracy"]) >= 0).all() and (np.diff(values[front.front.cost]) >= 0).all()
    idle = ByGenes()
    again = compare(idle)
    assert idle.evaluated == len(counted) // 2  # on the test images only
    for one, other in zip(fronts, again, strict=True):
        np.testing.assert_array_equal(one.models.genomes, other.models.genomes)
    result = provenance("python -m benchmarks.latency_search") | {"supernet": SUPERNET, "evaluation": SETTINGS}
    result |= describe_comparison(searches, fronts, most=4)
    result = json.loads(json.dumps(result))
    assert result["prediction"]["table"]["max_error"] == pytest.approx(0.2)
    page = make_page(result)
    one, two = (search["hypervolume"] for search in result["searches"][2:])
    assert f"| 1 | {one:.4f} | {two:.4f} | {two - one:+.4f} |" in page
    assert "seeds 0 to 1" in page and "| table | 20.00 % | 20.00 % | 1.000 |" in page
    points, means = draw_fronts(result).axes
    assert [len(line.get_xdata()) for line in points.lines] == [
        sum(len(front.models) for front in fronts if front.front.cost == cost) for cost in COSTS
    ]
    assert len(means.lines) == 2


@pytest.fixture
def trained(two_layer_space, tiny_data):
    """An untrained supernet."""
    supernet = Supernet(two_layer_space, seed=1)
    return types.SimpleNamespace(
        supernet=supernet,
        space=two_layer_space,
        fingerprint="tiny",
        path_weights=supernet.path_weights,
        config=types.SimpleNamespace(data=tiny_data),
    )


class ByMadds:
    """A target on which a file costs its multiply-adds."""

    name, unit, settings = "arm64", "instructions", {"cpu": "cortex-a76"}

    def __init__(self):
        self.measured = []

    def describe(self):
        return {}, {"made": "today"}

    def measure(self, files, journal):
        self.measured += files
        journal.add({name: [count_madds(path)] for name, path in files.items()})


def test_models_compute_what_searches_evaluate(trained):
    """Unless they skip a layer, which is a LET in the supernet."""
    images, calibration = np.random.default_rng(0).standard_normal((2, 40, 8, 8, 3)).astype(np.float32)
    logits = PathEvaluator(trained.supernet, bn="recalibrated", calibration=calibration).logits
    (expected,) = logits(np.array([[0, 1]]), images)
    found = np.log(np.asarray(make_model(trained, [0, 1], calibration=calibration)(images)))
    np.testing.assert_allclose(found, expected - np.log(np.exp(expected).sum(axis=1, keepdims=True)), atol=1e-4)

    genome = [trained.space.identities[0], 1]
    model, supernet = make_model(trained, genome, calibration=calibration), trained.path_weights(genome)
    weights = get_weights(model)
    other = {name for name, value in weights.items() if value.shape != supernet[name].shape}
    assert other and all(name.startswith("block01_") for name in other)  # whose input has 4 channels in place of 8
    for name in weights.keys() - other:
        if "moving" not in name:
            np.testing.assert_array_equal(weights[name], supernet[name])


def test_a_squeeze_that_is_zero_is_revived(trained):
    """Which LiteRT could not run in int8: its scale would be next to nothing."""
    calibration = np.random.default_rng(0).standard_normal((8, 8, 8, 3)).astype(np.float32)
    gene = next(gene for gene, choice in enumerate(trained.space.layer_choices[0]) if choice.se)
    weights = trained.path_weights([gene, 1])
    alive = dict(weights)
    trained.path_weights = lambda genome: weights
    weights["block00_se_reduce/bias"] = np.full_like(weights["block00_se_reduce/bias"], -1e3)

    def squeezed(model):
        layer = model.get_layer("block00_se_reduce")
        return np.asarray(type(model)(model.input, layer.output)(calibration))

    assert squeezed(make_model(trained, [gene, 1], calibration=calibration)).min() == pytest.approx(1)
    weights = alive
    unchanged = get_weights(make_model(trained, [gene, 1], calibration=calibration))
    np.testing.assert_array_equal(unchanged["block00_se_reduce/bias"], alive["block00_se_reduce/bias"])


@pytest.mark.slow
def test_files_are_measured_once(trained, two_layer_space, tmp_path):
    calibration = np.random.default_rng(0).standard_normal((8, 8, 8, 3)).astype(np.float32)
    identity = two_layer_space.identities[0]
    genomes = np.array([[0, 1], [identity, 1]])
    target = ByMadds()
    files = MeasuredFiles(trained, calibration=calibration, cache=tmp_path, target=target)
    costs = files.count(genomes)
    assert target.measured == ["0_1", f"{identity}_1"]
    assert costs[0] > costs[1] > 0
    np.testing.assert_array_equal(files.count(genomes[::-1]), costs[::-1])
    assert len(target.measured) == 2
    other = MeasuredFiles(trained, calibration=calibration + 1, cache=tmp_path, target=target)
    other.count(genomes[:1])
    assert target.measured[2:] == ["0_1"]


def test_the_table_is_kept(two_layer_space, table, tmp_path, monkeypatch):
    made = []

    def make(space, target, output, *, quantize):
        made.append((space, quantize))
        table.save(output)
        return table

    monkeypatch.setattr("benchmarks.latency_search.measured_files.make_table", make)
    assert get_table(two_layer_space, tmp_path / "cache", target=ByMadds()) is table
    assert get_table(two_layer_space, tmp_path / "cache", target=ByMadds()).to_dict() == table.to_dict()
    assert made == [(two_layer_space, "int8")]
    get_table(SPACE, tmp_path / "cache", target=ByMadds())
    assert len(made) == 2


def test_test_accuracies(trained, tiny_data):
    data = open_dataset(tiny_data)
    (calibration, _), (images, labels) = data.arrays("train"), data.arrays("test")
    genomes = np.array([(a, b) for a in range(4) for b in range(4)])
    paths = PathEvaluator(trained.supernet, bn="recalibrated", calibration=calibration)
    found = measure_test_accuracies(trained, calibration, genomes)
    np.testing.assert_array_equal(found, paths.accuracies(genomes, images, labels))
    assert len(labels) == 4 and len(set(found)) > 1


def test_what_is_refused(tmp_path, call_experiment, monkeypatch):
    result = call_experiment("latency_search", "--supernet=absent", "--output=o", cwd=tmp_path)
    assert result.returncode == 2 and "no supernet in absent" in result.stderr
    assert len(result.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())
    monkeypatch.setenv("SCARLET_TF_ARM64", str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text("{}")
    result = call_experiment("latency_search", "--supernet=.", "--output=o", cwd=tmp_path)
    assert result.returncode == 2 and "no emulator in" in result.stderr


def test_recorded_page_is_that_of_the_recorded_numbers():
    result = json.loads(RECORDED.read_text())
    assert make_page(result) == RECORDED.with_suffix(".md").read_text()
    volumes = {(search["cost"], search["seed"]): search["hypervolume"] for search in result["searches"]}
    gains = [volumes["instructions", seed] - volumes["madds", seed] for seed in result["seeds"]]
    gain = t_interval(np.array(gains))
    assert result["hypervolume"]["gain"] == pytest.approx([gain.value, gain.low, gain.high])
