"""Train supernets that differ in one setting, and measure the one-shot accuracy of the same paths in each."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from scarlet_tf.intervals import t_interval
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
