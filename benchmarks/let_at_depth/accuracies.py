"""Accuracies of paths, from the content of result.json."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.intervals import Estimate, t_interval
from benchmarks.let_at_depth.depth_config import ARMS, DepthConfig, changes_channels, measured_paths

STATISTICS = {"mean": np.mean, "spread": np.std}  # over the paths of a run


def accuracies(
    result: Mapping, config: DepthConfig, label: str, arm: str, *, measure: str = "training", group: str = "fair"
) -> np.ndarray:
    """Return the accuracies that an arm's paths have at the end of training: (seeds, paths).

    Args:
        measure: "training", "held_out" or "moving", see `Measurement`.
        group: "fair", "common" or "without", see `measured_paths`; or, of "fair", "reshaping": the paths with an
            identity in a layer that changes the number of channels, or "keeping": those with identities in other layers
            only.
    """
    drawn = "fair" if group in ("reshaping", "keeping") else group
    rows = [result["rows"][f"{label}/{arm}/{seed}"]["end"] for seed in config.seeds]
    found = np.array([row[measure][drawn] for row in rows])
    return found if drawn == group else found[:, identities(config, label, arm)[group]]


def identities(config: DepthConfig, label: str, arm: str) -> dict[str, np.ndarray]:
    """Return "count", the identities of an arm's fair paths, and which are "reshaping" and "keeping": (paths,) each."""
    condition = config.conditions[label]
    held = measured_paths(condition, arm)["fair"] == condition.identity
    changes = changes_channels(condition.space("let"))
    count, reshaping = held.sum(axis=1), held[:, changes].any(axis=1)
    return {"count": count, "reshaping": reshaping, "keeping": (count > 0) & ~reshaping}


def differences(
    result: Mapping, config: DepthConfig, label: str, arms: tuple[str, str], *, what: str = "mean", **which: str
) -> np.ndarray | None:
    """Return the first arm's mean or spread over the paths less the second's, (seeds,); None if one has no such paths.

    Args:
        what: "mean" or "spread".
        which: `measure` and `group` of `accuracies`.
    """
    if which.get("group") == "common" and any(ARMS[arm][0] == "none" for arm in arms):
        return None
    first, second = (accuracies(result, config, label, arm, **which) for arm in arms)
    return STATISTICS[what](first, axis=1) - STATISTICS[what](second, axis=1)


def difference(
    result: Mapping, config: DepthConfig, label: str, arms: tuple[str, str], **which: str
) -> Estimate | None:
    """Return `differences` with their interval over the seeds."""
    found = differences(result, config, label, arms, **which)
    return None if found is None else t_interval(found)
