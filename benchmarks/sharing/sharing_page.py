"""The page that shows how well path evaluation is divided among replicas."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.result_files import remarks


def make_page(result: Mapping) -> str:
    """Return the page: a table of efficiencies for each BN mode, in multiply-adds and in blocks."""
    setting = result["setting"]
    tables = "\n\n".join(_table(result, bn, unit) for bn in ("recalibrated", "moving") for unit in _units(result))
    return f"""# Path evaluation on several replicas: work counted

    {result["command"]}

{result["date"]}. The models are the {result["models"]:,} of a search of a formula in the space "{result["space"]}",
with {result["generations"]} generations. They are evaluated on {setting["images"]:,} held-out images in batches of
{setting["batch_size"]}, with {setting["calibration_images"]} calibration images where statistics are recalibrated.

The efficiency of n replicas is W / (n * M). W is the work of one replica that evaluates all models of a call together,
and M the largest work of a replica. Portions add up. Reading and decoding images is not counted.

- Equal counts of models: the sorted models in n runs of equal length; every replica reads all images.
- Equal work: in n runs whose largest work is as small as possible.
- Images only: every replica evaluates all models on its share of the batches, and recalibrates all of them.
- Plan: runs of models times shards of batches, whichever grid has the smallest largest work.
- Plan, in portions: the same for portions of about {setting["portion"]} models for each replica. This is what
  `search.py` does: it archives the accuracies of each portion at once.

{tables}
{remarks(result)}"""


def _units(result: Mapping) -> list[str]:
    return list(dict.fromkeys(row["unit"] for row in result["rows"]))


def _table(result: Mapping, bn: str, unit: str) -> str:
    rows = [row for row in result["rows"] if (row["bn"], row["unit"]) == (bn, unit)]
    numbers = list(rows[0]["efficiency"])
    lines = [
        f"## {bn.capitalize()} statistics, {unit}",
        "",
        f"| models | way | {' | '.join(numbers)} |",
        f"|---|---|{'---|' * len(numbers)}",
    ]
    for row in rows:
        cells = [f"{value:.3f}" for value in row["efficiency"].values()]
        lines.append(f"| {row['part']} | {row['way']} | {' | '.join(cells)} |")
    return "\n".join(lines)
