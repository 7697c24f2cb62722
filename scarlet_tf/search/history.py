"""Readers of a search's archive, during the search or afterwards."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from scarlet_tf.search.archive import Archive, read_archive
from scarlet_tf.search.records import Lineage, Members, Models, Summary


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchHistory:
    """The generations of a search so far.

    Attributes:
        definition: "space" (fields of SearchSpace), "evaluator" (fingerprint) and "settings".
        generations: the population of each generation; the first is P_0 with Q_0, 2n models drawn uniformly.
        summaries: the summary of each generation.
        operators: for each generation, the number of its evaluated models by operator.
        lineage: parents and operator of every evaluated model.
        picked: the K picked models, by rank and then from the best to the worst first objective; empty before the end.
    """

    definition: dict
    generations: tuple[Members, ...]
    summaries: tuple[Summary, ...]
    operators: tuple[dict[str, int], ...]
    lineage: Lineage
    picked: Models

    @property
    def final(self) -> Members:
        """The last population; raises ValueError before generation 0 is finished."""
        if not self.generations:
            raise ValueError("the search has no finished generation yet")
        return self.generations[-1]

    @property
    def hypervolume(self) -> np.ndarray:
        """Hypervolume of each population, (generations,) float64 in 0..1, in the unit box of `objectives.cost_box`."""
        return np.array([summary.hypervolume for summary in self.summaries])

    @property
    def identity_share(self) -> np.ndarray:
        """Share of identity genes in each population, (generations,) float64 in 0..1 (paper: Fig. 6 bottom)."""
        return np.array([summary.identity_share for summary in self.summaries])


def search_history(path: str | os.PathLike) -> SearchHistory:
    """Read all generations of an archive; raise ArchiveError if it cannot be read.

    Example:
        >>> history = search_history("runs/search/archive.sqlite")
        >>> history.final.front.values["accuracy"]  # of the models on the Pareto front
    """
    with read_archive(path) as archive:
        return history_of(archive)


def evaluated_models(path: str | os.PathLike) -> Models:
    """Read all evaluated models of an archive, including infeasible ones, in order of evaluation."""
    with read_archive(path) as archive:
        return archive.models()


def history_of(archive: Archive) -> SearchHistory:
    """Return the history of an open archive, see `search_history`."""
    generations = range(archive.last_generation + 1)
    models, picks = archive.models(), archive.picks()
    return SearchHistory(
        definition=archive.identity,
        generations=tuple(archive.members(generation) for generation in generations),
        summaries=tuple(archive.summary(generation) for generation in generations),
        operators=tuple(archive.operators(generation) for generation in generations),
        lineage=archive.lineage(),
        picked=models.take(np.searchsorted(models.ids, picks)),
    )
