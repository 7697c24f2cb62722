"""Write the page that compares fair steps with PyTorch's."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping

from benchmarks.machine import describe
from benchmarks.result_files import remarks
from benchmarks.step_peers.rounds import WAYS


def make_page(result: Mapping) -> str:
    """Return the page: times and their ratios by number of threads, and the time that the minimum work takes."""
    network, rounds = result["network"], result["rounds"]
    tables = "\n".join(_table(rounds, threads) for threads in sorted({timing["threads"] for timing in rounds}))
    count = len(rounds) // len({(timing["way"], timing["threads"]) for timing in rounds})
    return f"""# The fair step against PyTorch

    {result["command"]}

{describe(result)}.

The 19 layers of the `scarlet` space with widths multiplied by {network["width"]:g}, at {network["size"]} pixels and
batch size {network["batch"]}. PyTorch trains the same network with a loop of 13 forward and backward passes and one
update, in channels-last layout; compiled are its blocks, by inductor. Medians of {count} processes, in turn, of
{network["steps"]} steps each. The first step counts from the start of the process; what inductor compiles is cached
after the first process, whose time is the longest one.
{tables}{remarks(result)}"""


def _table(rounds: list[Mapping], threads: int) -> str:
    timed = {way: [t for t in rounds if (t["way"], t["threads"]) == (way, threads)] for way in WAYS}
    chosen = {way: timings for way, timings in timed.items() if timings}
    own = chosen["scarlet-tf"]
    lines = [
        f"\n## {threads} {'thread' if threads == 1 else 'threads'}\n",
        "| | a step (s) | scarlet-tf / this | first step (s) | longest first step (s) | peak memory (GB) |",
        "|---|---|---|---|---|---|",
    ]
    for way in chosen:
        ratio = statistics.median(a["step_s"] / b["step_s"] for a, b in zip(own, chosen[way], strict=True))
        firsts = [timing["first_step_s"] for timing in chosen[way]]
        peak = max(timing.get("peak_rss_gb") or timing["peak_gb"] for timing in chosen[way])
        lines.append(
            f"| {way} | {_median(chosen[way], 'step_s'):.2f} | {ratio:.2f} | {statistics.median(firsts):.0f} "
            f"| {max(firsts):.0f} | {peak:.1f} |"
        )
    floor, gmadds, copy = (_median(own, name) for name in ("floor_s", "sgemm_gmadds_s", "copy_gb_s"))
    share = floor / _median(own, "step_s")
    text = (
        f"The minimum work, {own[0]['madds_g']:g} billion multiply-adds and {own[0]['moved_gb']:g} GB of feature maps, "
        f"takes {floor:.2f} s at this machine's rates of matrix products ({gmadds:.0f} billion multiply-adds a second) "
        f"and copies ({copy:.1f} GB/s): {share:.0%} of the step."
    )
    return "\n".join(lines) + f"\n\n{textwrap.fill(text, 120)}\n"


def _median(timings: list[Mapping], name: str) -> float:
    return statistics.median(timing[name] for timing in timings)
