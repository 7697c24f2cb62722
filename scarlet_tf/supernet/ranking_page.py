"""How well a supernet ranks models, as a picture and as a Markdown page, from the content of rank.json."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scarlet_tf.bootstrap import Estimate
from scarlet_tf.machine import describe
from scarlet_tf.markdown import remarks
from scarlet_tf.report.charts import Panel, Points, draw_chart


def make_ranking_page(results: Mapping[str, dict]) -> str:
    """The page of rankings of one supernet, by the names of their pictures' files.

    What is common to all is said of the first: supernet, seed and stand-alone training.
    """
    first = next(iter(results.values()))
    supernet, alone = first["supernet"], first["stand_alone"]
    config = supernet["config"]
    commands = "\n".join(f"    {result['command']}" for result in results.values())
    rows = "\n".join(_row(result) for result in results.values())
    pictures = "\n".join(f"![Drawn: {result['draw']}]({picture})" for picture, result in results.items())
    return f"""# Does the supernet rank models?

{commands}

{describe(first)}; seed {first["seed"]}.
The supernet ({supernet["fingerprint"]}): space "{config["space"]["name"]}", {config["data"]["name"]}, \
{supernet["step"]} fair steps of batch {config["batch_size"]}.
Each model was trained on its own by the recipe "{alone["recipe"]}", {alone["epochs"]:g} epochs, once. Kendall's tau-b \
of one-shot accuracy
on held-out images with test accuracy, and 95 % bootstrap intervals over the models:

| drawn | models | deviation of stand-alone accuracy | one-shot, moving BN | one-shot, recalibrated BN | MAdds alone |
|---|---|---|---|---|---|
{rows}

{pictures}
{"".join(remarks(result) for result in results.values())}"""


def _row(result: dict) -> str:
    deviation = np.std([model["stand_alone"] for model in result["models"]])
    taus = [Estimate(**tau) for tau in (*result["tau"].values(), result["tau_of_madds"])]
    cells = (f"`{result['draw']}`", len(result["models"]), f"{deviation:.4f}", *taus)
    return f"| {' | '.join(map(str, cells))} |"


def draw_ranking(result: dict) -> str:
    """An SVG picture: stand-alone over one-shot accuracy, a panel for each BN way."""
    models = result["models"]
    panels = [
        Panel(
            title=f"{bn} BN",
            x_label="one-shot accuracy, held-out images",
            y_label="stand-alone accuracy, test",
            marks=(
                Points(
                    label=f"tau {Estimate(**result['tau'][bn])}",
                    x=[model["one_shot"][bn] for model in models],
                    y=[model["stand_alone"] for model in models],
                ),
            ),
        )
        for bn in result["tau"]
    ]
    return draw_chart(panels, title=f"{len(models)} models: one-shot and stand-alone accuracy")
