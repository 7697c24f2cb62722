"""The page that shows how well cost tables predict whole networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.machine import describe
from benchmarks.result_files import intervals_in_words, remarks, seeds_in_words


def make_page(result: Mapping) -> str:
    """Return the page: errors of tables and of multiply-adds by target, and the time that a table takes."""
    rows = [_row(target, source) for target in result["targets"] for source in ("table", "madds")]
    facts = "\n".join(map(_facts, result["targets"]))
    count = len(result["targets"][0]["networks"])
    return f"""# Cost tables: predicted and measured networks

    {result["command"]}

{describe(result, cpu_flags=True)}.

{count} networks of the space "scarlet", SCARLET-A, -B and -C among them, float32, exported one by one. A table's scale
comes from five other random networks, and so does the cost of a multiply-add. Host: milliseconds on this machine,
measured in the same rounds as the table. arm64: instructions on an emulated processor, which are not a time.

| target | prediction | mean error | max error | within 0.5 % | 1 % | 2 % | 5 % | Kendall's tau |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

{facts}
{_searches(result.get("searches", ()))}{remarks(result)}"""


def _searches(searches: Sequence[Mapping]) -> str:
    if not searches:
        return ""
    first, rows = searches[0], []
    for search in searches:
        held_out = f"{search['table_held_out']['max_error']:.2%}".replace("%", " %")
        for kind, found in search["accuracies"].items():
            volumes = [f"{sum(found[name]) / len(found[name]):.4f}" for name in ("under_madds", "under_instructions")]
            value, low, high = found["gain"]
            gain = f"{value:+.4f}" + ("" if low is None else f" [{low:+.4f}, {high:+.4f}]")
            rows.append(f"| {search['quantize']} | {held_out} | {kind} | {' | '.join(volumes)} | {gain} |")
    return f"""
## Searches under instructions

Searches for a high accuracy and a low cost, the cost being multiply-adds or a table's instructions on arm64. The
accuracies are synthetic, as in [search](search.md). Hypervolume of the final population over accuracy and the table's
instructions, in the unit box of `cost_box`; population {first["population"]}, {first["generations"]} generations, \
{seeds_in_words(len(first["seeds"]))}.
{intervals_in_words(len(first["seeds"]))}

| files | table's max error | accuracy | under multiply-adds | under instructions | gain |
|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def _row(target: Mapping, source: str) -> str:
    found = target[source]
    cells = [
        target["target"],
        {"table": "table", "madds": "multiply-adds"}[source],
        *(f"{found[name]:.2%}".replace("%", " %") for name in ("mean_error", "max_error")),
        *(f"{share:.0%}".replace("%", " %") for share in found["within"].values()),
        f"{found['tau']:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def _facts(target: Mapping) -> str:
    return (
        f"- {target['target']}: a table takes {target['seconds']:.0f} s, with {target['parts_measured']} of "
        f"{target['parts']} parts measured; scale {target['scale']:.4f}; on its own five held-out networks "
        f"{target['table_held_out']['mean_error']:.2%} mean, {target['table_held_out']['max_error']:.2%} max."
    ).replace("%", " %")
