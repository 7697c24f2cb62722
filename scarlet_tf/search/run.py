"""A whole search as a folder: archive, log, and the K picked models as specs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from scarlet_tf.arch import SearchSpace
from scarlet_tf.differences import name_differences
from scarlet_tf.files import locked_folder, write_atomically
from scarlet_tf.search.archive import GO_ON, ArchiveError
from scarlet_tf.search.evaluator import Evaluator
from scarlet_tf.search.history import SearchHistory, search_history
from scarlet_tf.search.nsga2 import Search, SearchConfig
from scarlet_tf.search.objectives import QUANTITIES, CheapQuantity
from scarlet_tf.search.records import Summary

ARCHIVE = "archive.sqlite"
EVALUATOR = "evaluator.json"


def search_into(
    output: str | os.PathLike,
    space: SearchSpace,
    config: SearchConfig,
    evaluator: Evaluator,
    *,
    cheap: Mapping[str, CheapQuantity] | None = None,
) -> SearchHistory:
    """Searches, or goes on with the search in folder `output`, with a progress bar.

    Writes archive.sqlite, log.jsonl, tensorboard/ and at the end pick_0.json .. pick_{K-1}.json, the stand-alone
    models (ArchSpec) of the picked genomes, within a rank the best in the first objective first. Picks of an earlier
    end are removed. evaluator.json holds the evaluator's `settings`, JSON values by name, where it has such an
    attribute.

    Args:
        cheap: further quantities by name, as `Search` takes them.

    Raises:
        ArchiveError: the folder's archive is damaged, or of another supernet, data set or settings.
        RunStopped: a SystemExit with code 143, at the end of the generation in which SIGTERM came.
        KeyboardInterrupt: on Ctrl-C, with `describe_saved`.
        FolderInUseError: another run writes to the folder.
    """
    with locked_folder(output):
        return _search_into(Path(output), space, config, evaluator, cheap=cheap)


def _search_into(
    output: Path,
    space: SearchSpace,
    config: SearchConfig,
    evaluator: Evaluator,
    *,
    cheap: Mapping[str, CheapQuantity] | None,
) -> SearchHistory:
    from scarlet_tf.runs.interrupt import RunStopped, StopRequest, describe_saved, saying_what_is_saved
    from scarlet_tf.runs.runlog import RunLog

    archive = output / ARCHIVE
    _same_evaluator(output, evaluator)
    finished = len(search_history(archive).generations) if archive.exists() else 0
    search = Search(space, config, archive=archive, cheap=cheap)
    run_log = RunLog(output, total_steps=config.generations + 1, start_step=finished, description="search")

    def what_is_saved() -> str:
        return describe_saved(output, "generation", finished - 1 if finished else None, total=config.generations)

    with saying_what_is_saved(what_is_saved), run_log as log, StopRequest() as stop:

        def show(summary: Summary) -> None:
            nonlocal finished
            finished = summary.generation + 1
            log.log(finished, _scalars(summary))
            log.advance(finished, {"front": summary.front_size, "hv": summary.hypervolume})
            if stop.requested and summary.generation < config.generations:
                raise RunStopped(what_is_saved())

        history = search.run(evaluator, progress=show)
    picks = [output / f"pick_{index}.json" for index in range(len(history.picked))]
    for path, genome in zip(picks, history.picked.genomes, strict=True):
        space.spec(genome).save(path)
    for path in set(output.glob("pick_*.json")).difference(picks):
        if path.stem.removeprefix("pick_").isdecimal():
            path.unlink()
    return history


def _same_evaluator(output: Path, evaluator: Evaluator) -> None:
    """Says in what an evaluator differs from the one that the archive was made with, which its fingerprint does not."""
    settings, path = getattr(evaluator, "settings", None), output / EVALUATOR
    if settings is None:
        return
    if not (output / ARCHIVE).exists():
        write_atomically(path, json.dumps(settings, indent=1) + "\n")
    elif path.exists() and (difference := name_differences(_read(path), settings)):
        raise ArchiveError(f"{output / ARCHIVE}: belongs to another search: its evaluator's {difference}; {GO_ON}")


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArchiveError(f"{path}: is damaged: {error}") from error


def _scalars(summary: Summary) -> dict[str, float]:
    """What is logged of a generation."""
    return {
        "front": summary.front_size,
        "hypervolume": summary.hypervolume,
        "best_accuracy": summary.best_accuracy,
        "identity_share": summary.identity_share,
        "evaluated": summary.evaluated,
        "saved_evaluations": summary.saved_evaluations,
        **_shares_of_survivors(summary),
    }


def _shares_of_survivors(summary: Summary) -> dict[str, float]:
    """By operator, among the generation's models that are in its population; none where there are none."""
    total = sum(summary.survivors.values())
    return {f"survivors/{name}": count / total for name, count in summary.survivors.items()} if total else {}


def describe_picks(history: SearchHistory) -> str:
    """A line for every picked model: genome, one-shot accuracy, MAdds, params, and further quantities."""
    lines = []
    for index, genome in enumerate(history.picked.genomes):
        own = {name: column[index] for name, column in history.picked.values.items()}
        accuracy, madds, params = (own.pop(name) for name in QUANTITIES)
        lines.append(
            f"pick {index}: {','.join(map(str, genome))}  one-shot accuracy {accuracy:.3f}, "
            f"{madds / 1e6:.3f} M MAdds, {params / 1e6:.4f} M params"
            + "".join(f", {name} {value:.4g}" for name, value in own.items())
        )
    return "\n".join(lines)
