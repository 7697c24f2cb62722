"""The result of Figure 6: figure6.json, and the chart and the page that are made from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.charts import add_legend, draw_band, draw_points, new_chart
from benchmarks.figure6.figure6_searches import UNCONSTRAINED, Figure6Config, SearchArm, compare_identity
from benchmarks.intervals import Estimate, estimates_to_dict
from benchmarks.machine import describe, provenance
from benchmarks.result_files import intervals_in_words, seeds_in_words, supernet_in_words, write_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_figure6(
    output: str | Path,
    config: Figure6Config,
    arms: dict[str, SearchArm],
    *,
    supernet: dict,
    evaluation: dict,
    command: str,
) -> str:
    """Write figure6.json, .svg, .png and .md into a folder, and return the page.

    Args:
        output: the folder.
        config: the experiment.
        arms: what `run_figure6` returned.
        supernet: the supernet's "fingerprint", "step" and "config", as in `TrainedSupernet`, as JSON values.
        evaluation: how accuracy was measured, as JSON values: "bn", and the numbers of "images" and
            "calibration_images" that were used.
        command: the command line that reproduces the figure.
    """
    comparisons = {arm: compare_identity(arms, constrained=arm) for arm in arms if arm != UNCONSTRAINED}
    result = provenance(command) | {
        "config": dataclasses.asdict(config),
        "supernet": supernet,
        "evaluation": evaluation,
        "arms": {name: _searches(arm) for name, arm in arms.items()},
        "identity_share_without_less_with": {name: estimates_to_dict(values) for name, values in comparisons.items()},
    }
    return write_result(
        Path(output) / "figure6", result, make_figure6_page(result), chart=draw_figure6(result), indent=None
    )


def _searches(arm: SearchArm) -> dict:
    return {
        "accuracy_above": arm.accuracy_above,
        "identity_share": arm.identity_share.tolist(),
        "hypervolume": [search.hypervolume.tolist() for search in arm.searches],
        "accuracy_range": arm.accuracy_range.tolist(),
        "evaluated": [sum(summary.evaluated for summary in search.summaries) for search in arm.searches],
        "fronts": [
            {name: front.values[name].tolist() for name in ("accuracy", "madds", "params")} for front in arm.fronts()
        ],
    }


def draw_figure6(result: dict) -> Figure:
    """Draw the content of figure6.json: fronts of the last populations, and share of identities by generation."""
    figure, (fronts, shares) = new_chart(
        "Search with and without a least accuracy",
        [
            ("fronts of the last populations, all seeds", "multiply-adds, millions", "one-shot accuracy"),
            ("mean and range of seeds", "generation", "share of identities"),
        ],
    )
    for arm in result["arms"].values():
        label = bound_label(arm["accuracy_above"])
        madds, accuracies = (
            [value for front in arm["fronts"] for value in front[name]] for name in ("madds", "accuracy")
        )
        draw_points(fronts, np.array(madds) / 1e6, accuracies, label=label)
        share = np.array(arm["identity_share"])
        generations = range(share.shape[1])
        draw_band(shares, generations, share.mean(axis=0), low=share.min(axis=0), high=share.max(axis=0), label=label)
    shares.xaxis.get_major_locator().set_params(integer=True)
    add_legend(figure)
    return figure


def bound_label(accuracy_above: float | None) -> str:
    return "no constraint" if accuracy_above is None else f"accuracy > {accuracy_above:.4g}"


def make_figure6_page(result: dict) -> str:
    """Return figure6.md from the content of figure6.json."""
    config, evaluation = result["config"], result["evaluation"]
    bounds = [
        f"{arm['accuracy_above']:.4g} (quantile {quantile:g})"
        for quantile, arm in zip(config["quantiles"], list(result["arms"].values())[1:], strict=True)
    ]
    arms = "\n".join(_arm_row(arm) for arm in result["arms"].values())
    differences = "\n".join(
        f"| {bound_label(result['arms'][name]['accuracy_above'])} | {Estimate(**values['final_population'])} | "
        f"{Estimate(**values['mean_over_generations'])} |"
        for name, values in result["identity_share_without_less_with"].items()
    )
    return f"""# Figure 6: search with and without a least accuracy

    {result["command"]}

{describe(result)}; {seeds_in_words(config["seeds"])}.
Population {config["population"]}, {config["generations"]} generations, the paper's objectives and weights; all arms \
search the same supernet
with the same settings, without a bound on multiply-adds.
{supernet_in_words(result["supernet"])}
One-shot accuracy is on {evaluation["images"]} images held out for the search, BN {evaluation["bn"]} on \
{evaluation["calibration_images"]} training images.

Acc_min: {", ".join(bounds)}, of the accuracies of {config["draws"]} models drawn uniformly, on the same images.

![Fronts, and share of identities](figure6.svg)

| arm, mean of the seeds | identity share: generation 0 | last | mean | accuracy of the last population | evaluated |
|---|---|---|---|---|---|
{arms}

| identity share without the constraint less with | last population | mean over generations |
|---|---|---|
{differences}

{intervals_in_words(config["seeds"])}
Above 0 the constraint keeps identities out, as in the paper. The picture's fronts are the members of the last
population that no other beats in both accuracy and multiply-adds.

The paper (ImageNet, 19 layers, 100 generations, Acc_min 0.4): without the constraint the share grows from 0.08 to about
0.2, with it it settles at about 0.05, and the last population's accuracies rise from 0.25..0.57 to 0.4..0.65.
"""


def _arm_row(arm: dict) -> str:
    share, accuracies = np.array(arm["identity_share"]), np.array(arm["accuracy_range"]).mean(axis=0)
    return (
        f"| {bound_label(arm['accuracy_above'])} | {share[:, 0].mean():.3f} | {share[:, -1].mean():.3f} | "
        f"{share.mean():.3f} | {accuracies[0]:.3f}..{accuracies[1]:.3f} | {np.mean(arm['evaluated']):.0f} |"
    )
