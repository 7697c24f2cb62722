"""The chart and the Markdown page of a supernet's ranking, from the content of rank.json."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scarlet_tf.intervals import Estimate
from scarlet_tf.machine import describe
from scarlet_tf.markdown import remarks
from scarlet_tf.report.charts import Panel, Points, draw_chart


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


def draw_ranking(result: dict) -> str:
    """Return an SVG chart of stand-alone over one-shot accuracy, with a panel for each BN mode."""
    models = result["models"]
    panels = [
        Panel(
            title=f"{bn} BN",
            x_label="one-shot accuracy, held-out images",
            y_label="stand-alone accuracy, test",
            marks=(
                Points(
                    label=f"tau {_tau(result['tau'][bn])}",
                    x=[model["one_shot"][bn] for model in models],
                    y=[model["stand_alone"] for model in models],
                ),
            ),
        )
        for bn in result["tau"]
    ]
    return draw_chart(panels, title=f"{len(models)} models: one-shot and stand-alone accuracy")
