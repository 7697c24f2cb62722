"""The chart and the Markdown page of a supernet's ranking, from the content of rank.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.charts import draw_points, new_chart
from benchmarks.intervals import Estimate
from benchmarks.machine import describe
from benchmarks.result_files import remarks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def make_ranking_page(results: Mapping[str, dict]) -> str:
    """Return the Markdown page of one or more rankings.

    Args:
        results: contents of rank.json, by the file names of their charts. They must agree in space, data, batch size,
            seed and stand-alone training, which the page takes from the first.
    """
    first = next(iter(results.values()))
    alone, config = first["stand_alone"], first["supernet"]["config"]
    commands = "\n".join(f"    {result['command']}" for result in results.values())
    rows = "\n".join(_row(result) for result in results.values())
    pictures = "\n".join(f"![{_name(result)}]({picture})" for picture, result in results.items())
    return f"""# Does the supernet rank models?

{commands}

{describe(first)}; seed {first["seed"]}.
Space "{config["space"]["name"]}", {config["data"]["name"]}, fair steps of batch {config["batch_size"]}.
Each model was trained on its own by the recipe "{alone["recipe"]}", {alone["epochs"]:g} epochs, once or with several \
seeds.
Kendall's tau-b of one-shot accuracy on held-out images with the mean test accuracy of a model's trainings, and 95 % \
bootstrap
intervals over the models. The last column is the tau of two trainings of the same models from two seeds.

| drawn | supernet, steps | models | trainings of each | deviation of stand-alone accuracy \
| one-shot, moving BN | one-shot, recalibrated BN | MAdds alone | two trainings |
|---|---|---|---|---|---|---|---|---|
{rows}

{pictures}
{"".join(remarks(result) for result in results.values())}"""


def _name(result: dict) -> str:
    return f"Drawn: {result['draw']}; {result['supernet']['step']} steps"


def _row(result: dict) -> str:
    deviation = np.std([model["stand_alone"] for model in result["models"]])
    supernet = result["supernet"]
    taus = [_tau(tau) for tau in (*result["tau"].values(), result["tau_of_madds"])]
    of_trainings = _tau(result["tau_of_trainings"]) if result["repeats"] > 1 else "not measured"
    cells = (
        f"`{result['draw']}`",
        f"{supernet['fingerprint']}, {supernet['step']}",
        len(result["models"]),
        result["repeats"],
        f"{deviation:.4f}",
        *taus,
        of_trainings,
    )
    return f"| {' | '.join(map(str, cells))} |"


def _tau(estimate: dict | None) -> str:
    return str(Estimate(**estimate)) if estimate else "no order"


def draw_ranking(result: dict) -> Figure:
    """Draw stand-alone accuracy over one-shot accuracy, a panel for each BN mode, from the content of rank.json."""
    models = result["models"]
    figure, panels = new_chart(
        f"{len(models)} models: one-shot and stand-alone accuracy",
        [
            (f"{bn} BN, tau {_tau(tau)}", "one-shot accuracy, held-out images", "stand-alone accuracy, test")
            for bn, tau in result["tau"].items()
        ],
    )
    for bn, axes in zip(result["tau"], panels, strict=True):
        one_shot = [model["one_shot"][bn] for model in models]
        draw_points(axes, one_shot, [model["stand_alone"] for model in models], label=f"{bn} BN")
    return figure
