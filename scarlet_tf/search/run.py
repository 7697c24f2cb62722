"""Searches with a run directory: archive, log, and the specs of the K picked models."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scarlet_tf.arch import SearchSpace
from scarlet_tf.differences import name_differences
from scarlet_tf.files import locked_folder, remove_folder, write_atomically
from scarlet_tf.paths import as_path
from scarlet_tf.search.archive import GO_ON, ArchiveError, read_archive
from scarlet_tf.search.constrained import SearchStalledError
from scarlet_tf.search.evaluator import Evaluator
from scarlet_tf.search.history import SearchHistory, search_history
from scarlet_tf.search.nsga2 import Search, SearchConfig
from scarlet_tf.search.objectives import QUANTITIES, CheapQuantity
from scarlet_tf.search.records import Summary
from scarlet_tf.search.remote_archive import kept_archive

if TYPE_CHECKING:
    from scarlet_tf.remote import RemotePath

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
    """Search, or resume the search in `output`, with a progress bar.

    Writes archive.sqlite, log.jsonl and tensorboard/, and at the end pick_0.json to pick_{K-1}.json: the stand-alone
    models (ArchSpec) of the picked genomes, by rank, then from the best to the worst first objective. Older picks are
    removed. If the evaluator has an attribute `settings`, JSON values by name, evaluator.json holds them.

    Args:
        output: run directory, local or remote. A remote archive is saved after every generation in a checkpoint, and
            is a file of its own only at the end.
        space: the search space.
        config: the settings.
        evaluator: predicts accuracy.
        cheap: further quantities by name, see `Search`.

    Returns:
        The history of all generations.

    Raises:
        ArchiveError: if the archive is damaged, or belongs to another supernet, dataset or settings.
        SearchStalledError: if no more feasible models are found; before the first generation is complete, what was
            written is deleted.
        RunStopped: a SystemExit with code 143, after the generation in which SIGTERM arrived.
        KeyboardInterrupt: on Ctrl-C, with the text of `describe_saved`.
        FolderInUseError: if another run writes to `output`.
    """
    output = as_path(output)
    with locked_folder(output), kept_archive(output / ARCHIVE) as (archive, save):
        return _search_into(output, space, config, evaluator, cheap=cheap, archive=archive, save=save)


def _search_into(
    output: Path | RemotePath,
    space: SearchSpace,
    config: SearchConfig,
    evaluator: Evaluator,
    *,
    cheap: Mapping[str, CheapQuantity] | None,
    archive: Path,
    save: Callable[[int], object],
) -> SearchHistory:
    from scarlet_tf.runs.interrupt import RunStopped, StopRequest, describe_saved, saying_what_is_saved
    from scarlet_tf.runs.runlog import RunLog

    _same_evaluator(output, evaluator, archive=archive)
    finished = len(search_history(archive).generations) if archive.exists() else 0
    search = Search(space, config, archive=archive, cheap=cheap)
    run_log = RunLog(output, total_steps=config.generations + 1, start_step=finished, description="search")

    def what_is_saved() -> str:
        # A remote archive is saved with every generation only.
        if archive.parent == output and (models := _unfinished(archive)):
            return describe_saved(output, f"{models} models of generation", finished, total=config.generations)
        return describe_saved(output, "generation", finished - 1 if finished else None, total=config.generations)

    def show(summary: Summary) -> None:
        nonlocal finished
        number = summary.generation + 1
        run_log.log(number, _scalars(summary))
        if archive.parent == output:
            finished = number  # a local archive has it already
        run_log.publish()
        save(number)
        finished = number
        run_log.advance(number, {"front": summary.front_size, "hv": summary.hypervolume})
        if stop.requested and summary.generation < config.generations:
            raise RunStopped(what_is_saved())

    with saying_what_is_saved(what_is_saved):
        try:
            with run_log, StopRequest() as stop:
                history = search.run(evaluator, progress=show)
        except SearchStalledError:
            if not finished:
                _remove_all(output, archive)
            raise
        picks = [output / f"pick_{index}.json" for index in range(len(history.picked))]
        for path, genome in zip(picks, history.picked.genomes, strict=True):
            space.spec(genome).save(path)
        for path in set(output.iterdir()).difference(picks):
            if re.fullmatch(r"pick_\d+\.json", path.name):
                path.unlink()
    return history


def _remove_all(output: Path | RemotePath, archive: Path) -> None:
    """Delete what a search has written, so that one with other constraints can have the folder."""
    for path in (*archive.parent.glob(f"{archive.name}*"), output / EVALUATOR, output / "log.jsonl"):
        path.unlink(missing_ok=True)
    if (output / "tensorboard").is_dir():
        remove_folder(output / "tensorboard")


def _unfinished(archive: Path) -> int:
    """Return how many models of the unfinished generation the archive has; 0 if it cannot be read."""
    with contextlib.suppress(ArchiveError), read_archive(archive) as opened:
        return len(opened.results())
    return 0


def _same_evaluator(output: Path | RemotePath, evaluator: Evaluator, *, archive: Path) -> None:
    """Raise ArchiveError if the evaluator's settings differ from the archive's; fingerprints cannot name differences.

    Without an archive, write the settings.
    """
    settings, path = getattr(evaluator, "settings", None), output / EVALUATOR
    if settings is None:
        return
    if not archive.exists():
        write_atomically(path, json.dumps(settings, indent=1) + "\n")
    elif path.exists() and (difference := name_differences(_read(path), settings)):
        raise ArchiveError(f"{output / ARCHIVE}: belongs to another search: its evaluator's {difference}; {GO_ON}")


def _read(path: Path | RemotePath) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArchiveError(f"{path} is damaged: {error}") from error


def _scalars(summary: Summary) -> dict[str, float]:
    """Return the values to log for a generation."""
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
    """Return the operators' shares of the generation's surviving models; empty if none survived."""
    total = sum(summary.survivors.values())
    return {f"survivors/{name}": count / total for name, count in summary.survivors.items()} if total else {}


def describe_picks(history: SearchHistory) -> str:
    """Return a line for each picked model: genome, one-shot accuracy, MAdds, params, and further quantities."""
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
