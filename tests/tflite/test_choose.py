"""Which forms are chosen, by small tables of made-up costs."""

import dataclasses

import numpy as np
import pytest

from scarlet_tf.tflite import Graph, add_files, cost_targets, forms, optimize
from scarlet_tf.tflite.choose import find_candidates, rewrite_operators
from scarlet_tf.tflite.costs import (
    FormCosts,
    FormCostsError,
    cached_path,
    estimate_costs,
    load_table,
    read_table,
    runtime_version,
    write_table,
)
from scarlet_tf.tflite.costs.measure import empty_table, measure_costs, time_on_host
from scarlet_tf.tflite.forms import PLAIN, Variant, variants_of
from scarlet_tf.tflite.forms.signature import Signature, operator_file, signature_of
from scarlet_tf.tflite.graph import Op

DEPTHWISE = Signature(kind="DEPTHWISE_CONV_2D", type="int8", shape=(1, 14, 14, 16), kernel=(5, 5, 16))
SWISH = Signature(kind="HARD_SWISH", type="int8", shape=(1, 14, 14, 16))
SHAPES = [
    DEPTHWISE,
    SWISH,
    Signature(kind="SOFTMAX", type="int8", shape=(1, 1000)),
    Signature(
        kind="CONV_2D",
        type="int8",
        shape=(1, 32, 32, 3),
        kernel=(3, 3, 8),
        stride=(2, 2),
        pad=(0, 1, 0, 1),
        padding="valid",
        fused="RELU6",
    ),
    dataclasses.replace(DEPTHWISE, type="hybrid", dilation=(2, 2)),
    dataclasses.replace(DEPTHWISE, type="float32", kernel=(7, 7, 16), fused="RELU"),
]


def table(target, costs, *, unit="instructions", runtime=None):
    costs = {str(signature): forms for signature, forms in costs.items()}
    return FormCosts(target=target, unit=unit, runtime=runtime or runtime_version(), cpu="made up", costs=costs)


def chosen(content, *tables, **bound):
    rewritten, choices = rewrite_operators(content, {one.target: one for one in tables}, **bound)
    return {(choice.signature, choice.form): choice.changes for choice in choices}, rewritten


@pytest.fixture(scope="module")
def file():
    return operator_file(DEPTHWISE)


@pytest.mark.parametrize("signature", SHAPES, ids=str)
def test_a_signature_describes_its_operator(signature, run):
    content = operator_file(signature)
    graph = Graph(content)
    assert signature_of(graph, graph.operators[-1]) == signature == Signature.parse(str(signature))
    assert all(np.isfinite(output).all() for output in run(content, np.zeros(signature.shape, _dtype(signature))))
    with pytest.raises(ValueError, match="not the signature of an operator: "):
        Signature.parse(str(signature) + "x0x")


def _dtype(signature):
    return np.int8 if signature.type == "int8" else np.float32


def test_the_cheapest_form_wins(file):
    costs = {DEPTHWISE: {PLAIN: 100.0, "rows": 50.0, "tiles of 4x4": 40.0, "float": 60.0}}
    got, rewritten = chosen(file, table("one", costs))
    assert got == {(DEPTHWISE, "tiles of 4x4"): 1}
    assert "SPACE_TO_DEPTH" in [Graph(rewritten).name(operator) for operator in Graph(rewritten).operators]


def test_plain_stays_where_it_is_the_cheapest(file):
    got, rewritten = chosen(file, table("one", {DEPTHWISE: {PLAIN: 10.0, "rows": 50.0}}))
    assert got == {} and rewritten == file


def test_the_worst_target_decides(file):
    one = table("one", {DEPTHWISE: {PLAIN: 1000.0, "rows": 100.0, "float": 400.0, "tiles of 4x4": 110.0}})
    other = table("other", {DEPTHWISE: {PLAIN: 1000.0, "rows": 600.0, "float": 100.0, "tiles of 4x4": 150.0}})
    assert chosen(file, one)[0] == {(DEPTHWISE, "rows"): 1}
    assert chosen(file, other)[0] == {(DEPTHWISE, "float"): 1}
    assert chosen(file, one, other)[0] == {(DEPTHWISE, "tiles of 4x4"): 1}


def test_the_first_target_counts_fourfold(file):
    one = table("one", {DEPTHWISE: {PLAIN: 1000.0, "rows": 100.0, "float": 120.0}})
    for factor, name in ((1.7, "rows"), (1.9, "float")):
        other = table("other", {DEPTHWISE: {PLAIN: 1000.0, "rows": 100.0 * factor, "float": 100.0}})
        assert chosen(file, one, other)[0] == {(DEPTHWISE, name): 1}


def test_slower_than_plain_on_one_target_is_out(file):
    one = table("one", {DEPTHWISE: {PLAIN: 100.0, "rows": 1.0, "float": 90.0}})
    other = table("other", {DEPTHWISE: {PLAIN: 100.0, "rows": 101.0, "float": 100.0}})
    assert chosen(file, one)[0] == {(DEPTHWISE, "rows"): 1}
    assert chosen(file, one, other)[0] == {(DEPTHWISE, "float"): 1}


def test_what_the_file_gains_elsewhere_may_be_spent(two_operators):
    """A form that is slower on one target stays if the file as a whole is not."""
    content, first, second = two_operators
    one = table("one", {first: {PLAIN: 100.0, "rows": 10.0}, second: {PLAIN: 100.0, "rows": 10.0}})
    for cost, names in ((50.0, {first, second}), (89.0, {first})):
        other = table("other", {first: {PLAIN: 100.0, "rows": 80.0}, second: {PLAIN: 40.0, "rows": cost}})
        assert {signature for signature, _ in chosen(content, one, other)[0]} == names


@pytest.mark.parametrize(("cost", "names"), [(0.96, []), (0.94, ["rows"])])
def test_a_small_gain_is_not_worth_larger_weights(cost, names, file):
    assert [name for _, name in chosen(file, table("one", {DEPTHWISE: {PLAIN: 1.0, "rows": cost}}))[0]] == names


@pytest.fixture(scope="module")
def two_operators():
    """A depthwise convolution of 25 taps and one of 49, one after the other, and their signatures."""
    first, second = DEPTHWISE, dataclasses.replace(DEPTHWISE, kernel=(7, 7, 16))
    graph, other = Graph(operator_file(first)), Graph(operator_file(second))
    (joined,) = other.operators
    inputs = [graph.subgraph.outputs[0]]
    for index in joined.inputs[1:]:
        quantization = other.tensor(index).quantization
        inputs.append(graph.add_constant(other.constant(index), f"second{index}", quantization=quantization))
    output = other.tensor(joined.outputs[0])
    outputs = [graph.add_tensor(output.type, output.shape, "end", quantization=output.quantization)]
    graph.operators.append(
        graph.new_operator(Op.DEPTHWISE_CONV_2D, inputs, outputs, options=joined.builtinOptions, version=3)
    )
    graph.subgraph.outputs = outputs
    return graph.to_bytes(), first, second


def test_associated_files_do_not_hide_growth(file):
    costs = table("one", {DEPTHWISE: {PLAIN: 1000.0, "rows": 100.0}})
    labelled = add_files(file, {"labels.txt": b"a\nb\n" * 50_000})
    (plain,), (with_labels,) = (rewrite_operators(content, {"one": costs})[1] for content in (file, labelled))
    assert with_labels.growth == plain.growth > 0
    assert not rewrite_operators(labelled, {"one": costs}, max_growth=1.0)[1]


def test_growth_is_spent_where_it_saves_most_per_byte(two_operators):
    content, first, second = two_operators
    forms = {first: {PLAIN: 100.0, "rows": 40.0}, second: {PLAIN: 1000.0, "rows, groups of 2": 20.0, "rows": 400.0}}
    growth = {}
    for signature, name in ((first, "rows"), (second, "rows, groups of 2"), (second, "rows")):
        (choice,) = rewrite_operators(content, {"one": table("one", {signature: {PLAIN: 9.0, name: 1.0}})})[1]
        growth[signature, name] = choice.growth
    assert 0 < growth[second, "rows"] < growth[second, "rows, groups of 2"]
    for names, spent in (
        (set(), 0),
        ({(second, "rows")}, growth[second, "rows"]),
        ({(second, "rows, groups of 2")}, growth[second, "rows, groups of 2"]),
        ({(first, "rows"), (second, "rows, groups of 2")}, growth[first, "rows"] + growth[second, "rows, groups of 2"]),
    ):
        bound = 1 + (spent + 200) / len(content)
        got, rewritten = chosen(content, table("one", forms), max_growth=bound)
        assert set(got) == names and len(rewritten) <= bound * len(content)
    assert set(chosen(content, table("one", forms))[0]) == names


def estimated(known, signature):
    graph = Graph(operator_file(signature))
    return estimate_costs(known, signature, variants_of(graph, graph.operators[-1]))


def test_other_sizes_are_estimated_with_a_margin():
    """Rows cost more an element the longer they are, tiles and float operators do not."""
    forms = {PLAIN: 100.0, "rows": 50.0, "tiles of 4x4": 40.0, "float": 95.0}
    known = table("one", {DEPTHWISE: forms})
    wide = dataclasses.replace(DEPTHWISE, shape=(1, 14, 14, 32), kernel=(5, 5, 32))
    margins = {PLAIN: 1.0, "rows": 1.1, "tiles of 4x4": 1.1, "float": 1.1}
    assert estimated(known, wide) == pytest.approx({name: 2 * forms[name] * margins[name] for name in forms})
    large = dataclasses.replace(DEPTHWISE, shape=(1, 28, 28, 16))
    margins = {PLAIN: 1.0, "rows": 1.2 * 2, "tiles of 4x4": 1.2, "float": 1.2}
    assert estimated(known, large) == pytest.approx({name: 4 * forms[name] * margins[name] for name in forms})
    assert chosen(operator_file(large), known)[0] == {(large, "tiles of 4x4"): 1}
    assert chosen(operator_file(large), table("one", {DEPTHWISE: {PLAIN: 100.0, "rows": 50.0}}))[0] == {}


def test_the_nearest_size_is_taken():
    near = dataclasses.replace(DEPTHWISE, shape=(1, 12, 12, 16))
    known = table("one", {DEPTHWISE: {PLAIN: 196.0}, near: {PLAIN: 288.0}})
    wanted = dataclasses.replace(DEPTHWISE, shape=(1, 11, 11, 16))
    assert estimated(known, wanted) == pytest.approx({PLAIN: 2 * 121.0})


@pytest.mark.parametrize(
    "other", [{"type": "float32"}, {"stride": (2, 2)}, {"kernel": (7, 7, 16)}, {"dilation": (2, 2)}], ids=str
)
def test_another_kind_of_operator_is_left_plain(other):
    known = table("one", {DEPTHWISE: {PLAIN: 100.0, "rows": 1.0}})
    signature = dataclasses.replace(DEPTHWISE, **other)
    assert estimated(known, signature) is None
    assert chosen(operator_file(signature), known)[0] == {}


def test_tables_are_read_back_and_checked(tmp_path):
    known = table("one", {DEPTHWISE: {PLAIN: 100, "rows": 1.5}, SWISH: {PLAIN: 2}}, runtime="1.0")
    write_table(known, tmp_path / "one.json")
    assert read_table(tmp_path / "one.json") == known
    assert len((tmp_path / "one.json").read_text().splitlines()) == 10
    (tmp_path / "one.json").write_text("{}")
    with pytest.raises(FormCostsError, match=r"one\.json is not a cost table: 'target'"):
        read_table(tmp_path / "one.json")
    for costs in ({"rows": 1.0}, {PLAIN: 0.0}, {PLAIN: True}, {PLAIN: "1"}):
        with pytest.raises(FormCostsError, match="costs for one: expected positive costs, with 'plain', of DEPTHWISE"):
            table("one", {DEPTHWISE: costs})
    with pytest.raises(FormCostsError, match="costs for one: not the signature of an operator: 'a b'"):
        table("one", {"a b": {PLAIN: 1.0}})


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_costs_in_the_cache_come_first_for_the_installed_runtime_only(cache):
    shipped = next(iter(load_table("cortex-a76").costs))
    for runtime, cost in (("0.1", 5.0), (runtime_version(), 7.0)):
        measured = FormCosts(
            target="cortex-a76", unit="instructions", runtime=runtime, cpu="made up", costs={shipped: {PLAIN: cost}}
        )
        write_table(measured, cached_path("cortex-a76", runtime=runtime))
    assert load_table("cortex-a76").costs[shipped] == {PLAIN: 7.0}


def test_the_host_is_measured_once(cache, file, monkeypatch):
    (candidate,) = find_candidates(Graph(file))
    first = cost_targets.tables_for("host", [candidate.signature])["host"]
    costs = first.costs[str(DEPTHWISE)]
    assert set(costs) == {PLAIN, *candidate.variants} and all(0 < ms < 100 for ms in costs.values())
    monkeypatch.setattr(cost_targets, "time_on_host", lambda files: pytest.fail("measured again"))
    assert cost_targets.tables_for("host", [candidate.signature])["host"] == first


def test_what_a_table_lacks_is_measured(file):
    """Nothing twice; of a new form the count alone, but times only together, as they compare within one run."""
    saved, measured = [], []

    def measure(files):
        measured.append(len(files))
        return [float(len(content)) for content in files]

    for unit, again in (("instructions", 1), ("ms", 8)):
        costs = measure_costs([DEPTHWISE], measure, table=table("one", {}, unit=unit), save=saved.append)
        forms = costs.costs[str(DEPTHWISE)]
        assert saved[-1] == costs and forms[PLAIN] == len(file) and measured[-1] == len(forms) == 8
        fewer = {DEPTHWISE: {name: cost for name, cost in forms.items() if name != "rows"}}
        resumed = measure_costs([DEPTHWISE], measure, table=table("one", fewer, unit=unit), save=saved.append)
        assert resumed == costs and measured[-1] == again
        assert measure_costs([DEPTHWISE], lambda files: pytest.fail("again"), table=costs, save=saved.append) == costs


def test_times_of_files_grow_with_their_work():
    large = dataclasses.replace(DEPTHWISE, shape=(1, 56, 56, 64), kernel=(7, 7, 64))
    small_ms, large_ms = time_on_host([operator_file(DEPTHWISE), operator_file(large)])
    assert 0 < 10 * small_ms < large_ms


def test_android_needs_a_measured_device(cache, file):
    with pytest.raises(FormCostsError, match=r"no costs measured on an Android device with LiteRT .*measure_forms\.py"):
        optimize(file, label="a", optimize_for="android")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimize_for": "arm"}, "unknown optimize_for 'arm': .*nearest is 'arm64'"),
        ({"max_growth": 0.5}, "max_growth must be a multiple of the plain file's size, at least 1, got 0.5"),
        ({"max_growth": 1.3, "optimize_for": "size"}, "optimize_for 'size' bounds the file itself: omit max_growth"),
        ({"max_growth": float("inf")}, "max_growth must be a multiple of the plain file's size, at least 1, got inf"),
        ({"max_growth": float("nan")}, "max_growth must be a multiple of the plain file's size, at least 1, got nan"),
    ],
)
def test_bad_options(options, message, file):
    with pytest.raises(ValueError, match=message):
        optimize(file, label="a", **options)


def test_none_and_size_keep_a_file_small(two_operators):
    content, _, _ = two_operators
    assert optimize(content, label="a", optimize_for="none").content == content
    assert len(optimize(content, label="a", optimize_for="size").content) <= 1.01 * len(content)
    assert len(optimize(content, label="a", optimize_for="arm64").content) > len(content)


def test_a_new_form_is_one_class(file, run, monkeypatch):
    """An int8 convolution by itself, after a RESHAPE to its own shape."""

    class Reshaped:
        def variants(self, graph, operator):
            if graph.code(operator) == Op.DEPTHWISE_CONV_2D:
                yield Variant(name="reshaped", apply=self._apply)

        def _apply(self, graph, operator):
            image = graph.tensor(operator.inputs[0])
            copy = graph.add_tensor(image.type, image.shape, "copy", quantization=image.quantization)
            shape = graph.add_constant(np.int32(image.shape), "shape")
            source, operator.inputs[0] = operator.inputs[0], copy
            reshape = graph.new_operator(Op.RESHAPE, [source, shape], [copy])
            graph.replace(operator, [reshape, operator])

    monkeypatch.setattr(forms, "FORMS", [*forms.FORMS, Reshaped()])
    empty, decreasing = empty_table("cortex-a76"), lambda files: range(len(files), 0, -1)
    costs = measure_costs([DEPTHWISE], decreasing, table=empty, save=lambda table: None)
    assert list(costs.costs[str(DEPTHWISE)])[-1] == "reshaped"
    got, rewritten = chosen(file, costs)
    assert got == {(DEPTHWISE, "reshaped"): 1}
    image = np.random.default_rng(0).integers(-128, 128, DEPTHWISE.shape, np.int8)
    assert np.array_equal(run(file, image)[0], run(rewritten, image)[0])


def test_a_report_shows_the_gain(two_operators):
    content, first, _ = two_operators
    costs = table("cortex-a76", {first: {PLAIN: 53.6e6, "tiles of 4x4": 1.82e6}})
    times = table("host", {first: {PLAIN: 2.0, "tiles of 4x4": 0.25}}, unit="ms")
    _, (choice,) = rewrite_operators(content, {"cortex-a76": costs, "host": times})
    assert str(choice) == (
        f"depthwise 5x5 14x14x16: tiles of 4x4; cortex-a76 53.6 -> 1.82 M instructions, host 2 -> 0.25 ms; "
        f"{choice.growth:+,} bytes"
    )
    assert choice.growth > 10_000 and not choice.rounds_anew


def test_a_report_says_which_gains_are_estimated(two_operators):
    content, first, _ = two_operators
    twice = dataclasses.replace(first, shape=(1, 14, 14, 32), kernel=(5, 5, 32))
    costs = table("cortex-a76", {twice: {PLAIN: 100e6, "tiles of 4x4": 2e6}})
    times = table("host", {first: {PLAIN: 2.0, "tiles of 4x4": 0.25}}, unit="ms")
    _, (choice,) = rewrite_operators(content, {"cortex-a76": costs, "host": times})
    assert choice.estimated == {"cortex-a76"}
    assert "cortex-a76 about 50 -> 1.1 M instructions, host 2 -> 0.25 ms" in str(choice)
