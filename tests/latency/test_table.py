"""Cost tables made with real files: sums against networks, formats, resuming, and each target's measuring."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from scarlet_tf.arch import SearchSpace, choices_from, count
from scarlet_tf.arch.cost_table import CostTable, CostTableError
from scarlet_tf.arch.parts import parts_of
from scarlet_tf.latency import AndroidError, AndroidSettings
from scarlet_tf.latency.journal import Journal
from scarlet_tf.latency.part_files import PartFiles
from scarlet_tf.latency.table_maker import make_table
from scarlet_tf.latency.table_targets import AndroidTarget, Arm64Target, HostTarget
from scarlet_tf.tflite import Graph, count_madds, open_interpreter

SPACE = SearchSpace(
    name="two_stages",
    out_channels=(8, 12, 12),
    strides=(2, 1, 2),
    choices=choices_from(
        ["e2 k3", "e3 k5 se", "let"], ["fused_inverted_residual e2 k3", "e2 k7", "e3 k7"], ["e2 k3 relu6", "identity"]
    ),
    resolution=(20, 16),
    stem_channels=8,
    first_channels=4,
    tail_channels=16,
    classes=3,
)


@dataclasses.dataclass
class CountingTarget:
    """Costs that are known: the multiply-adds of a file, and 1000 for its call."""

    stop_after: int | None = None
    name = "counting"
    unit = "instructions"
    settings = {"fake": True}  # noqa: RUF012

    def __post_init__(self):
        self.measured = Counter()

    def describe(self):
        return {"device": "none"}, {}

    def measure(self, files, journal):
        for name in files:
            if name in journal.samples:
                continue
            if len(self.measured) == self.stop_after:
                raise KeyboardInterrupt
            self.measured[name] += 1
            journal.add({name: [1000 + (0 if name == "call" else count_madds(files[name]))]})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    files = PartFiles(SPACE, tmp_path_factory.mktemp("files"), quantize="float32")
    files.convert(parts_of(SPACE))
    return files


@pytest.fixture
def converted(files, monkeypatch):
    """The files of float32 tables are there already."""
    monkeypatch.setattr("scarlet_tf.latency.table_maker.PartFiles", lambda *_, **__: files)
    return files


def run(path, values):
    interpreter = open_interpreter(path)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def operators(path):
    """The operators that a runtime runs each time: not those that load a constant."""
    graph = Graph(path.read_bytes())
    return Counter(graph.name(each) for each in graph.operators if not graph.is_constant(each.inputs[0]))


@pytest.mark.parametrize("genome", [(0, 0, 0), (1, 1, 0), (2, 0, 1)])
def test_a_network_is_the_chain_of_its_parts(files, genome):
    values = np.random.default_rng(0).standard_normal((1, 20, 16, 3), np.float32)
    whole = run(files.write_network(genome), values)
    for part in parts_of(SPACE).of(genome):
        values = run(files.write_part(part), values)
    np.testing.assert_allclose(whole, values, rtol=1e-5, atol=1e-6)
    assert whole.shape == (1, 3) and whole.sum() == pytest.approx(1)


def test_files_have_the_multiply_adds_of_their_blocks(files):
    for part in parts_of(SPACE):
        if part.block is not None:
            assert count_madds(files.write_part(part)) == part.madds
    for genome in SPACE.random(np.random.default_rng(0), 4).tolist():
        assert count_madds(files.write_network(genome)) == count(SPACE.spec(genome)).madds


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["float16", "dynamic", "int8", "int8_pure"])
def test_other_formats_are_those_of_an_export(tmp_path, quantize):
    from scarlet_tf.export import export_tflite
    from scarlet_tf.models import build

    genome, files = (1, 1, 0), PartFiles(SPACE, tmp_path, quantize=quantize)
    files.convert(parts_of(SPACE).of(genome))
    images = np.random.default_rng(0).standard_normal((2, 20, 16, 3), np.float32)
    representative = {"representative": [images]} if quantize.startswith("int8") else {}
    export_tflite(build(SPACE.spec(genome)), tmp_path / "exported.tflite", quantize=quantize, **representative)
    assert operators(files.write_network(genome)) == operators(tmp_path / "exported.tflite")
    ends = [
        (graph.type_name(graph.subgraph.inputs[0]), graph.type_name(graph.subgraph.outputs[0]))
        for graph in (Graph(files.write_part(part).read_bytes()) for part in parts_of(SPACE).of(genome))
    ]
    inside = "int8" if quantize.startswith("int8") else "float32"
    assert ends == [("float32", inside), *[(inside, inside)] * (len(ends) - 2), (inside, "float32")]


def test_known_costs_are_found(converted, tmp_path):
    table = make_table(SPACE, CountingTarget(), tmp_path / "t.json")
    assert table == CostTable.load(tmp_path / "t.json") and table.call == 1000
    assert table.scale == pytest.approx(1, abs=1e-12) and table.max_error < 1e-12
    assert {name for name, cost in table.costs.items() if cost.estimated_from} == {
        part.name for part in parts_of(SPACE).estimates
    }
    assert len(parts_of(SPACE).estimates) == 1
    genomes = np.array(list(np.ndindex(*SPACE.num_choices)))
    expected = [1000 + count(SPACE.spec(genome)).madds for genome in genomes.tolist()]
    np.testing.assert_allclose(table.quantity()(genomes), expected, rtol=1e-12)
    genomes = [network.genome for network in (*table.fitted, *table.held_out)]
    assert len(table.fitted) == len(table.held_out) == 5 and len(set(genomes)) == 10


def test_a_stopped_table_is_resumed(converted, tmp_path, monkeypatch):
    first, second = CountingTarget(stop_after=7), CountingTarget()
    with pytest.raises(KeyboardInterrupt, match=r"measurements are kept in .*t\.json\.parts"):
        make_table(SPACE, first, tmp_path / "t.json")
    assert not (tmp_path / "t.json").exists()
    monkeypatch.setattr(PartFiles, "_convert", None)  # not again
    table = make_table(SPACE, second, tmp_path / "t.json")
    assert len(first.measured) == 7 and not first.measured & second.measured
    assert len(first.measured | second.measured) == 1 + len(table.costs) - len(parts_of(SPACE).estimates) + 10
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_what_stands_beside_the_output_must_be_of_the_same_table(converted, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make_table(SPACE, CountingTarget(stop_after=2), tmp_path / "t.json")
    with pytest.raises(ValueError, match=r"of another measurement: its settings\.seed was 0, is 1; delete its folder"):
        make_table(SPACE, CountingTarget(), tmp_path / "t.json", seed=1)


def test_spaces_of_few_networks(tmp_path):
    one = dataclasses.replace(SPACE, choices=choices_from(["e2 k3"]))
    with pytest.raises(CostTableError, match="space 'two_stages' has a single network"):
        make_table(one, CountingTarget(), tmp_path / "t.json")
    two = dataclasses.replace(SPACE, choices=choices_from(["e2 k3"], ["e2 k3"], ["e2 k3", "let"]))
    table = make_table(two, CountingTarget(), tmp_path / "t.json")
    assert (len(table.fitted), len(table.held_out)) == (1, 1) and table.max_error < 1e-12


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"unknown quantize 'int9'.*nearest is 'int8'"):
        make_table(SPACE, CountingTarget(), tmp_path / "t.json", quantize="int9")


def test_a_table_of_this_machine(converted, tmp_path):
    table = make_table(SPACE, HostTarget(rounds=15), tmp_path / "t.json")
    assert table.unit == "ms" and table.device["cores"] >= 1 and table.versions["ai-edge-litert"]
    measured = [cost for cost in table.costs.values() if cost.estimated_from is None]
    assert all(cost.samples == 15 and cost.p10 <= cost.value <= cost.p90 for cost in measured)
    assert 0.3 < table.scale < 3 and table.mean_error < 0.5
    genomes = np.array(list(np.ndindex(*SPACE.num_choices)))
    assert (table.quantity()(genomes) > 0).all()


def test_the_host_goes_on_with_the_rounds_that_are_missing(files, tmp_path):
    paths, journal = {"call": files.write_call()}, Journal(tmp_path / "j", {})
    HostTarget(rounds=2).measure(paths, journal)
    before = list(journal.samples["call"])
    HostTarget(rounds=5).measure(paths, Journal(tmp_path / "j", {}))
    after = Journal(tmp_path / "j", {}).samples["call"]
    assert len(after) == 5 and after[:2] == before


def test_arm64_counts_in_batches(tmp_path, monkeypatch):
    asked = []

    def count_instructions(paths, *, cpu, seed):
        asked.append(paths)
        return [int(path.name) for path in paths]

    monkeypatch.setattr("scarlet_tf.latency.table_targets.count_instructions", count_instructions)
    monkeypatch.setattr("scarlet_tf.latency.table_targets._BATCH", 2)
    paths, journal = {str(n): Path(str(n)) for n in range(5)}, Journal(tmp_path / "j", {})
    journal.add({"1": [10]})
    Arm64Target(cpu="cortex-a72").measure(paths, journal)
    assert asked == [[Path("0"), Path("2")], [Path("3"), Path("4")]]
    assert journal.samples == {"1": [10], "0": [0], "2": [2], "3": [3], "4": [4]}
    with pytest.raises(ValueError, match="unknown cpu 'cortex-a75'"):
        Arm64Target(cpu="cortex-a75")
    with pytest.raises(ValueError, match="unknown cpu 'x86-avx2'"):
        Arm64Target(cpu="x86-avx2")


def test_a_device_measures_in_batches(device, binary, models, tmp_path, monkeypatch):
    monkeypatch.setattr("scarlet_tf.latency.table_targets._BATCH", 1)
    device.set(times_us={"model0.tflite": [5000, 6000, 7000]})
    settings = AndroidSettings(rounds=2, cooldown=0, min_seconds=0)
    target = AndroidTarget(binary=binary, benchmark=settings, adb=device.adb)
    facts, _ = target.describe()
    assert facts["model"] == "Pixel 8" and facts["benchmark_model"] == "arm64-v8a" and "serial" not in facts
    json.dumps([facts, target.settings])
    journal = Journal(tmp_path / "j", {})
    journal.add({"a": [1.0]})
    target.measure(dict(zip("ab", models, strict=True)), journal)
    assert journal.samples["a"] == [1.0] and journal.samples["b"] == [6.0, 7.0]  # the first run is not timed
    assert device.files == []


def test_a_device_needs_its_binary_and_one_thread_count(device):
    with pytest.raises(AndroidError, match="benchmark_model is needed"):
        AndroidTarget(binary=None, adb=device.adb).describe()
    with pytest.raises(AndroidError, match=r"one thread count, got threads \[1, 4\]"):
        AndroidTarget(binary="b", benchmark=AndroidSettings(threads=(1, 4)))
