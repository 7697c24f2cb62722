"""Results of the experiments: the files that they write, and phrases of their pages."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scarlet_tf.files import check_output_file, write_atomically
from scarlet_tf.paths import check_local

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RESULTS = Path(__file__).resolve().parents[1] / "zoo" / "results"
_WIDTH = 120


def choose_output(given: str | None, name: str) -> Path:
    """Return the output path without a file extension: the given one, or `name` in zoo/results.

    Raises:
        OSError: if files could not be written there later.
    """
    if given:
        check_local(given, why="experiments write several files: copy them afterwards")
    output = Path(given) if given else _RESULTS / name
    check_output_file(f"{output}.json")
    return output


def write_result(
    output: str | os.PathLike, result: Mapping, page: str, *, chart: Figure | None = None, indent: int | None = 1
) -> str:
    """Write a result as .json, its chart as .svg and .png, and its page as .md; return the page.

    Args:
        output: path of the files without their ending.
        result: JSON values.
        page: Markdown, made from the result.
        chart: None for a result without one.
        indent: of the JSON; None: all on one line.
    """
    write_atomically(f"{output}.json", json.dumps(result, indent=indent) + "\n")
    if chart is not None:
        from benchmarks.charts import write_chart

        write_chart(output, chart)
    write_atomically(f"{output}.md", page)
    return page


def remarks(record: Mapping) -> str:
    """Return the record's "remarks" as paragraphs with an empty line before each; "" if it has none.

    Remarks are added to a recorded result by hand: what its numbers do not show, such as what led to it.
    """
    return "".join(f"\n{textwrap.fill(paragraph, _WIDTH)}\n" for paragraph in record.get("remarks", ()))


def seeds_in_words(count: int, *, first: int = 0) -> str:
    """Return "seeds 0 to 2" for 3 seeds."""
    return f"seed {first}" if count == 1 else f"seeds {first} to {first + count - 1}"


def intervals_in_words(seeds: int) -> str:
    """Return the sentence that explains the brackets in a table of paired differences."""
    if seeds == 1:
        return "One seed gives no intervals."
    return "In brackets 95 % Student's t intervals over the seeds, in pairs."


def supernet_in_words(supernet: Mapping) -> str:
    """Describe a supernet in a sentence, from "fingerprint", "step" and "config" of a `TrainedSupernet`."""
    config = supernet["config"]
    steps = f"{supernet['step']} of {config['steps']}" if supernet["step"] < config["steps"] else config["steps"]
    return (
        f'The supernet ({supernet["fingerprint"]}): space "{config["space"]["name"]}", {config["data"]["name"]}, '
        f"{steps} fair steps of batch {config['batch_size']}."
    )
