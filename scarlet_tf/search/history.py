"""Reading a search back from its archive, while it runs or afterwards, for reports and for what comes next."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from scarlet_tf.search.archive import Archive, read_archive
from scarlet_tf.search.records import Lineage, Members, Models, Summary


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchHistory:
    """A search so far.

    Attributes:
        identity: "space" (SearchSpace's fields), "evaluator" (fingerprint) and "settings".
        generations: one population a generation; the first is P_0 with Q_0, 2n models drawn uniformly.
        summaries: one a generation.
        operators: one a generation: how many of its evaluated models each operator has made.
        lineage: parents and operator of every evaluated model.
        picked: the K models at the end, by rank and then from the best to the worst first objective; none before.
    """

    identity: dict
    generations: tuple[Members, ...]
    summaries: tuple[Summary, ...]
    operators: tuple[dict[str, int], ...]
    lineage: Lineage
    picked: Models

    @property
    def final(self) -> Members:
        """The last population; ValueError where not even generation 0 is finished."""
        if not self.generations:
            raise ValueError("this search has not finished a generation yet: there is no population to show")
        return self.generations[-1]

    @property
    def hypervolume(self) -> np.ndarray:
        """(generations,) float64, 0..1, in the unit box of `objectives.cost_box`."""
        return np.array([summary.hypervolume for summary in self.summaries])

    @property
    def identity_share(self) -> np.ndarray:
        """(generations,) float64, 0..1 (paper: Fig. 6 bottom)."""
        return np.array([summary.identity_share for summary in self.summaries])


def search_history(path: str | os.PathLike) -> SearchHistory:
    """Every generation of an archive; ArchiveError where it cannot be read."""
    with read_archive(path) as archive:
        return history_of(archive)


def evaluated_models(path: str | os.PathLike) -> Models:
    """Every model that an archive holds, infeasible ones included, in order of evaluation."""
    with read_archive(path) as archive:
        return archive.models()


def history_of(archive: Archive) -> SearchHistory:
    """As `search_history`, of an open archive."""
    generations = range(archive.last_generation + 1)
    models, picks = archive.models(), archive.picks()
    return SearchHistory(
        identity=archive.identity,
        generations=tuple(archive.members(generation) for generation in generations),
        summaries=tuple(archive.summary(generation) for generation in generations),
        operators=tuple(archive.operators(generation) for generation in generations),
        lineage=archive.lineage(),
        picked=models.take(np.searchsorted(models.ids, picks)),
    )
