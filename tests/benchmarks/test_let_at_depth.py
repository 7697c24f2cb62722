"""The comparison of LETs with plain identities at depth: its arms, its measures, and a short run."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.garment_pairs import drawing, pairs_builder
from benchmarks.intervals import t_interval
from benchmarks.let_at_depth import depth_runs
from benchmarks.let_at_depth.depth_config import (
    ARMS,
    Condition,
    DepthConfig,
    changes_channels,
    keeps_shape,
    measured_paths,
)
from benchmarks.let_at_depth.depth_page import make_depth_page, write_depth
from benchmarks.let_at_depth.hypotheses_page import answers
from benchmarks.let_at_depth.identity_effects import COUNTS, ChangedPaths, angle, cosine, linear_cka
from benchmarks.rows import finished_rows, run_rows
from scarlet_tf.data.data_config import default_data_dir

FOLDER = Path(depth_runs.__file__).parent
CONFIGS = sorted(FOLDER.glob("*.json"))
RESULTS = Path(__file__).parents[2] / "zoo" / "results"


def test_layers_that_keep_the_shape():
    condition = Condition(blocks=12)
    changed = np.flatnonzero(~keeps_shape(condition.space("let")))
    assert changed.tolist() == [0, 2, 6, 14, 18]  # not 10: a quarter of 80 and of 96 channels are both 24
    assert Condition(width=1.0).space("let").out_channels[::6] == (32, 80, 96, 320)


@pytest.mark.parametrize("arm", ARMS)
def test_arms_differ_in_their_identity_alone(arm):
    space, let = Condition(blocks=12).space(arm), Condition(blocks=12).space("let")
    assert [options[:12] for options in space.layer_choices] == [options[:12] for options in let.layer_choices]
    kinds = [options[12].kind if len(options) == 13 else None for options in space.layer_choices]
    same = keeps_shape(let)
    expected = {
        "let": ["let"] * 19,
        "let_same": ["let" if keeps else None for keeps in same],
        "plain": ["identity"] * 19,
        "plain_same": ["identity" if keeps else None for keeps in same],
        "none": [None] * 19,
    }
    assert kinds == expected[arm.removesuffix("_normal")]


def test_all_arms_are_measured_on_common_paths():
    condition = Condition(blocks=12)
    groups = {arm: measured_paths(condition, arm) for arm in ARMS}
    for arm, paths in groups.items():
        assert paths["fair"].shape == (24 if arm == "none" else 26, 19)
        for genomes in paths.values():
            for genome in genomes:
                condition.space(arm).check(genome)
        np.testing.assert_array_equal(paths["without"], groups["let"]["without"])
        if arm != "none":
            np.testing.assert_array_equal(paths["common"], groups["let"]["common"])
            skips = (paths["fair"] == 12).sum(axis=0)
            assert (skips == 2 * (keeps_shape(condition.space("let")) if arm.endswith("_same") else 1)).all()
    assert not (groups["let"]["without"] == 12).any() and (groups["let"]["common"] == 12).any(axis=1).sum() > 10


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_are_valid(path):
    config = DepthConfig.read(path)
    names = [row.name for row in config.rows()]
    arms = sum(len(config.arms[label]) for label in config.conditions)
    assert len(set(names)) == len(names) == arms * len(config.seeds)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arms": ["lets"]}, "unknown arm 'lets'.*nearest is 'let'"),
        ({"conditions": {"a": {"layers": 7}}}, "layers must be 6 or 19, got 7"),
        ({"conditions": {"a": {"blocks": 5}}}, "blocks must be 12 or 4, got 5"),
        ({"conditions": {}, "arms": {}}, "needs conditions, arms for each, and seeds"),
        ({"conditions": {"a": {}, "b": {}}, "arms": {"a": ["let"]}}, "needs conditions, arms for each, and seeds"),
        ({"arms": {"a": ["let"], "b": ["let"]}}, "unknown condition 'b'"),
        ({"seeds": None}, "not iterable"),
        ({"effects": ["b"]}, "unknown condition 'b'"),
        ({"paths": 3}, "paths"),
    ],
)
def test_bad_configs_are_named(tmp_path, change, words):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"conditions": {"a": {}}, "arms": ["let"], "seeds": [0]} | change))
    with pytest.raises(ValueError, match=f"bad.json is not a config of this experiment: .*{words}"):
        DepthConfig.read(path)


def test_page_has_means_spreads_and_intervals():
    arms = {"base": ("let", "plain", "none"), "slow": ("let", "plain")}
    conditions = {"base": Condition(blocks=12), "slow": Condition(blocks=12, learning_rate=0.045)}
    config = DepthConfig(conditions=conditions, arms=arms, seeds=(1, 2, 3))
    rows = {row.name: scripted_row(row) for row in config.rows()}
    page = make_depth_page({"command": "c", "rows": rows}, config, picture="result.svg")
    assert "| LET, starts as identity | 0.620 | 0.100 | 0.520 | 0.620 | 0.620 | 0.620 |" in page
    assert "| mean: paths of fair draws | 0.250 [0.250, 0.250] | -0.250 [-0.250, -0.250] |" in page
    assert "| mean: common paths with identities | 0.250 [0.250, 0.250] |  |" in page
    assert "Seeds 1, 2, 3; chance is 0.010" in page
    # Means differ by 0.25 with learning rate 0.2 and by 0.1 to 0.3 with 0.045.
    assert "| H1a | base: the mean of LET, starts as identity is higher than that of plain identity | 0.250" in page
    slow = t_interval(np.array([0.1, 0.2, 0.3]))
    assert f"is higher than that of plain identity | {slow} | undecided |" in page
    less = t_interval(np.array([0.15, 0.05, -0.05]))
    assert (
        f"| H5 | LET less plain identity is larger with learning rate 0.2 than with 0.045 | {less} | undecided |"
        in page
    )


def scripted_row(row) -> dict:
    shift = {"let": 0.6, "let_normal": 0.6, "let_same": 0.6, "plain": 0.35, "plain_same": 0.6, "none": 0.85}[
        row.arm
    ] + 0.01 * row.seed
    if row.label == "slow" and row.arm == "let":
        shift += 0.1 * row.seed - 0.25
    paths = measured_paths(row.condition, row.arm)
    half = 0.15 if row.arm == "plain" else 0.1  # half of the paths are this much below, and half above
    values = {group: [shift + half * (-1) ** i for i in range(len(genomes))] for group, genomes in paths.items()}
    return {
        "made": {"date": "2026-11-29", "machine": {"cores": 2}},
        "halfway": {"training": values},
        "end": dict.fromkeys(("training", "held_out", "moving"), values),
    }


def test_hypotheses_are_answered_from_the_arms_they_are_about():
    main = DepthConfig.read(FOLDER / "main.json")
    slow = dataclasses.replace(main.conditions["base"], learning_rate=0.045)
    arms = {**main.arms, "slow": ("let", "plain")}
    config = dataclasses.replace(main, conditions={**main.conditions, "slow": slow}, arms=arms)
    rows = {row.name: scripted_row(row) for row in config.rows()}
    found = [(number, estimate.value, said) for number, _, estimate, said in answers({"rows": rows}, config)]
    numbers = [number for number, _, _ in found]
    assert numbers == ["H1a", "H1b", "H1c", "H1d"] + ["H1a", "H1b"] * 2 + ["H2"] * 2 + ["H3"] + ["H4"] * 7 + [
        "H5",
        "H6a",
        "H6b",
    ]
    of = {number: [(round(value, 2), said) for each, value, said in found if each == number] for number in set(numbers)}
    assert of["H1a"] == [(0.25, "shown"), (0.25, "shown"), (0.2, "undecided")]  # slow: 0.1, 0.2 and 0.3
    assert of["H1b"][0] == (0.05, "shown") and of["H1c"] == [(0.25, "shown")] and of["H1d"] == [(0.05, "shown")]
    assert of["H2"] == [(0.25, "shown"), (0.0, "shown")] and of["H3"] == [(0.0, "refuted")]
    assert [said for _, said in of["H4"][:2]] == ["shown", "refuted"]
    assert of["H6a"] == [(0.0, "refuted")] and of["H6b"] == [(0.0, "shown")]
    assert of["H4"][2:] == [(0.0, "shown"), (0.0, "shown"), (0.25, "refuted"), (0.0, "shown"), (-0.25, "refuted")]
    assert of["H5"] == [(0.05, "undecided")]


def test_recorded_page_is_that_of_the_recorded_rows():
    result, config = json.loads((RESULTS / "let_at_depth.json").read_text()), DepthConfig.read(FOLDER / "main.json")
    assert finished_rows([RESULTS / "let_at_depth.json"], config).keys() == result["rows"].keys()
    assert make_depth_page(result, config, picture="let_at_depth.svg") == (RESULTS / "let_at_depth.md").read_text()


def test_pilot_in_the_plan_is_the_recorded_one():
    rows = json.loads((RESULTS / "let_at_depth_pilot.json").read_text())["rows"]
    plan = (FOLDER / "plan.md").read_text()
    for name, row in rows.items():
        end = row["end"]
        fair = end["training"]["fair"]
        cells = [np.mean(fair), np.std(fair), np.mean(end["training"]["without"])]
        cells += [np.mean(end[measure]["fair"]) for measure in ("held_out", "moving")]
        assert f"| `{name}` | {' | '.join(f'{cell:.3f}' for cell in cells)} |" in plan


def test_fewer_blocks():
    condition = Condition(blocks=4)
    options = condition.space("let").layer_choices[5]
    assert [str(option) for option in options] == ["e3 k3", "e3 k5 se", "e6 k5", "e6 k7 se", "let"]
    paths = {arm: measured_paths(condition, arm) for arm in ARMS}
    assert {arm: len(groups["fair"]) for arm, groups in paths.items()} == dict.fromkeys(ARMS, 25) | {"none": 24}
    assert ((paths["plain"]["fair"] == condition.identity).sum(axis=0) == 5).all()
    changed = ChangedPaths.draw(condition)
    assert (changed.identity[8] == 4).sum() == 64 and changed.exchanged[8].max() == 3


@pytest.mark.parametrize("arm", ARMS)
def test_changed_paths_differ_from_their_originals_where_they_should(arm):
    condition = Condition(blocks=12)
    paths, keeps = ChangedPaths.draw(condition), keeps_shape(condition.space("let"))
    groups = paths.of(condition.space(arm))
    has_identity, reshapes = arm != "none", arm in ("let", "let_normal", "plain")
    assert len(groups) == 4 + 4 * has_identity + reshapes and ("reshaping" in groups) == reshapes
    assert not (paths.original == 12).any()
    channels = changes_channels(condition.space("let"))
    assert np.flatnonzero(channels).tolist() == [6, 14, 18]
    for count in COUNTS:
        for kind in ("identity", "exchanged"):
            changed = getattr(paths, kind)[count] != paths.original
            assert (changed.sum(axis=1) == count).all() and not changed[:, ~keeps].any()
        np.testing.assert_array_equal(paths.identity[count] == 12, paths.exchanged[count] != paths.original)
        assert not (paths.exchanged[count] == 12).any()
    changed = paths.reshaping != paths.original
    assert (
        (changed.sum(axis=1) == 1).all() and not changed[:, ~channels].any() and (paths.reshaping[changed] == 12).all()
    )


def test_similarities_of_features():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 8, 6, 6, 5))
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert cosine(a, 3 * a) == pytest.approx(1) and cosine(a, -a) == pytest.approx(-1)
    assert linear_cka(a, 2 * a @ rotation + 1) == pytest.approx(1)  # which the cosine is not
    assert cosine(a, a @ rotation) < 0.9 and linear_cka(a, b) < 0.2 and abs(cosine(a, b)) < 0.1
    half = a.copy()
    half[..., :2] = 0
    assert cosine(a, half) == pytest.approx(3 / 5) and linear_cka(a, 0 * a) == 0
    # Against the definition by Gram matrices of the examples.
    x, y = (m.reshape(-1, 5) - m.reshape(-1, 5).mean(axis=0) for m in (a, half))
    k, m = x @ x.T, y @ y.T
    assert linear_cka(a, half) == pytest.approx((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))
    assert angle(np.array([1.0, 0.0]), np.array([2.0, 2.0])) == pytest.approx(45)


def test_settings_of_a_row_are_those_that_it_depends_on():
    config = DepthConfig.read(FOLDER / "main.json")
    rows = {row.name: config.settings(row) for row in config.rows()}
    base, six = rows["base/let/1"], rows["six_layers/let/1"]
    assert {name for name in base if base[name] != six[name]} == {"layers", "effects"}
    assert (six["layers"], six["effects"]) == (6, False) and base["garment_pairs"] == drawing.VERSION
    assert rows["base/plain/2"] == base | {"arm": "plain", "seed": 2}


@pytest.mark.slow
def test_gradients_of_paths_are_those_of_their_keras_models():
    import tensorflow as tf

    from benchmarks.let_at_depth.identity_effects import PathRunner
    from scarlet_tf.supernet import Supernet

    supernet = Supernet(dataclasses.replace(Condition(layers=6, blocks=12).space("let"), dropout=0.0), seed=3)
    genome = np.array([1, 12, 3, 12, 5, 0])
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(size=(16, 48, 48, 3)), tf.float32)
    labels = tf.constant(rng.integers(0, 100, 16), tf.int32)
    path = PathRunner(supernet)
    found = path.gradients(genome, images, labels)
    model = supernet.extract(genome)
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    variables = model.trainable_variables
    gradients = {v.path: g.numpy().ravel() for v, g in zip(variables, tape.gradient(loss, variables), strict=True)}
    for part, names in path.trained().items():
        expected = np.concatenate([gradients[name] for name in names])
        np.testing.assert_allclose(found[part], expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_a_short_run_resumes_and_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs_builder, "NUM_EXAMPLES", {"train": 150, "test": 20})
    monkeypatch.setattr(depth_runs, "HELD_OUT", 50)
    (tmp_path / "fashion_mnist").symlink_to(default_data_dir() / "fashion_mnist")
    pairs_builder.prepare_garment_pairs(tmp_path)
    config = DepthConfig.read(FOLDER / "short.json")
    run = functools.partial(depth_runs.run_row, config, data_dir=str(tmp_path))
    alone = run_rows(config, run, tmp_path / "runs", only="short/let/0")
    for name in ("row", "end"):  # as if it was stopped between checkpoint and measurement
        (tmp_path / f"runs/short/let/0/{name}.json").unlink()
    results = run_rows(config, run, tmp_path / "runs")
    assert results["short/let/0"] == alone["short/let/0"] and set(results) == {"short/let/0", "short/none/0"}
    assert {group: len(values) for group, values in results["short/let/0"]["end"]["moving"].items()} == {
        "fair": 25,
        "common": 26,
        "without": 26,
    }
    effects = results["short/let/0"]["effects"]
    assert set(effects["gradients"]) == {"identity 1", "reshaping", "exchanged 1"}
    assert "identity 1" not in results["short/none/0"]["effects"]["accuracies"]
    assert all(0 <= part["angle"] <= 180 for part in effects["gradients"]["identity 1"].values())
    page = write_depth(tmp_path / "result", config, results, command="c")
    assert "## short\n\nLayers 6, blocks 4," in page and (tmp_path / "result.svg").stat().st_size > 1000
    assert "## What identities do in short" in page and (tmp_path / "result_short.svg").stat().st_size > 1000
