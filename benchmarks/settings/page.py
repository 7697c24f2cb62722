"""Render the benchmark's result as a Markdown page."""

from __future__ import annotations

import numpy as np

from scarlet_tf.intervals import Estimate
from scarlet_tf.machine import describe
from scarlet_tf.markdown import remarks
from settings.runs import BASE


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
