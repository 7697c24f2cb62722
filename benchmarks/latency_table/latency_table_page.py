"""The page that shows how well cost tables predict whole networks."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.machine import describe
from benchmarks.result_files import remarks


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
{remarks(result)}"""


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
