"""Supernets that differ in one setting: their training, the one-shot accuracy of the same paths, and the page."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from benchmarks.intervals import Estimate, t_interval
from benchmarks.machine import describe
from benchmarks.result_files import remarks
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import InitConfig, SupernetConfig, SupernetEvaluator, load_supernet, train_supernet
from scarlet_tf.supernet.supernet_config import BN_MODES

BASE = "base"


def variants(base: SupernetConfig) -> dict[str, SupernetConfig]:
    """Return, by name, the base and the configurations that differ from it in one setting."""
    return {
        BASE: base,
        "shared_gradient=sum": dataclasses.replace(base, shared_gradient="sum"),
        "let_init=normal": dataclasses.replace(base, init=InitConfig(let="normal")),
        **{
            f"learning_rate={rate:g}": dataclasses.replace(base, learning_rate=rate)
            for rate in (base.learning_rate / 4, base.learning_rate * 2)
        },
    }


def measure(base: SupernetConfig, output: str | Path, *, seeds: int, paths: int, images: int) -> dict[str, dict]:
    """Train every variant with seeds 0..seeds-1 in folders of `output`, or resume, and measure its paths.

    Returns:
        By variant: for each BN mode "mean" and "worst" over the paths, lists with one number per seed; and, except for
        the base, "mean_less_base" with recalibrated BN, with its paired t interval over seeds.
    """
    genomes = base.space.random(np.random.default_rng(0), paths)
    found: dict[str, dict] = {}
    for name, config in variants(base).items():
        found[name] = {bn: {"mean": [], "worst": []} for bn in BN_MODES}
        for seed in range(seeds):
            folder = Path(output) / f"{name.replace('=', '_')}_seed{seed}"
            own = dataclasses.replace(config, seed=seed)
            train_supernet(own, folder, strategy=make_strategy("one_device"), checkpoint_every=own.steps)
            for bn in BN_MODES:
                accuracies = SupernetEvaluator(load_supernet(folder), bn=bn, images=images).evaluate(genomes)
                found[name][bn]["mean"].append(float(accuracies.mean()))
                found[name][bn]["worst"].append(float(accuracies.min()))
        if name != BASE:
            means, base_means = (np.array(found[n]["recalibrated"]["mean"]) for n in (name, BASE))
            found[name]["mean_less_base"] = dataclasses.asdict(t_interval(means - base_means))
    return found


def make_page(result: dict) -> str:
    """Render the content of supernet_settings.json as the Markdown page supernet_settings.md."""
    config = result["config"]
    rows = "\n".join(_row(name, values) for name, values in result["variants"].items())
    return f"""# Settings that the paper leaves open

    {result["command"]}

{describe(result)}.

Supernets of space "{config["space"]["name"]}" on {config["data"]["name"]}, {config["steps"]} fair steps of batch \
{config["batch_size"]}, {config["warmup_steps"]} of them
warm-up. The base: shared_gradient={config["shared_gradient"]}, let_init={config["init"]["let"]}, \
learning_rate={config["learning_rate"]:g}; the others differ from it in the setting
named. One-shot accuracy of {result["paths"]} random paths on {result["images"]} held-out images, means over \
{result["seeds"]} seeds; in brackets 95 %
Student's t intervals over the seeds, in pairs.

| setting | recalibrated BN: mean, worst path | moving BN: mean, worst path | mean with recalibrated BN, less the base |
|---|---|---|---|
{rows}
{remarks(result)}"""


def _row(name: str, values: dict) -> str:
    cells = [
        f"{np.mean(values[bn]['mean']):.3f}, {np.mean(values[bn]['worst']):.3f}" for bn in ("recalibrated", "moving")
    ]
    difference = "" if name == BASE else str(Estimate(**values["mean_less_base"]))
    return f"| {name} | {' | '.join(cells)} | {difference} |"
