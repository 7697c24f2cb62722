"""The published networks: one table (paper: Tables 3 and 4)."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import functools

from scarlet_tf.arch import ArchSpec, count, get_space, scale


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Entry:
    genome: str
    width: float
    depth: float
    resolution: int
    dropout: float
    paper_madds: float  # millions
    paper_params: float  # millions
    paper_top1: float  # percent
    paper_top5: float  # percent
    note: str = ""


def _entry(genome, width, depth, resolution, dropout, madds, params, top1, top5, note=""):
    return _Entry(
        genome=genome,
        width=width,
        depth=depth,
        resolution=resolution,
        dropout=dropout,
        paper_madds=madds,
        paper_params=params,
        paper_top1=top1,
        paper_top5=top5,
        note=note,
    )


_A = "4,8,2,5,7,3,7,0,5,4,2,5,0,5,7,9,1,7,11"
_B = "1,3,1,11,0,2,11,1,12,2,1,1,11,1,9,9,12,11,9"
_C = "3,1,3,12,12,0,11,1,1,2,5,4,1,5,1,12,7,11,9"
_B_NOTE = "the paper says 329 M multiply-adds; counting the published architecture gives 326.85 M"

# fmt: off
_TABLE = {
    #                    genome width depth side dropout | the paper's: MAdds M, params M, top-1 %, top-5 % | note
    "scarlet_a":  _entry(_A, 1.0, 1, 224, 0.2,             365, 6.7, 76.9, 93.4),
    "scarlet_b":  _entry(_B, 1.0, 1, 224, 0.2,             329, 6.5, 76.3, 93.0, _B_NOTE),
    "scarlet_c":  _entry(_C, 1.0, 1, 224, 0.2,             280, 6.0, 75.6, 92.6),
    "scarlet_a2": _entry(_A, 1.4, 1, 260, 0.3,            1000, 12.5, 79.5, 94.8),
    "scarlet_a4": _entry(_A, 1.4, 2, 380, 0.4,            4200, 27.8, 82.3, 96.0),
}
# fmt: on


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts of a published network.

    Attributes:
        genome: choice indices of the search space "scarlet"; A2 and A4 are A's, scaled by `width` and `depth`.
        madds, params: our count, plain numbers (`scarlet_tf.arch.count`).
        paper_madds, paper_params, paper_top1, paper_top5: what the paper prints; plain numbers, percent on ImageNet.
        note: where our count and the paper's differ, and by how much.
    """

    name: str
    genome: tuple[int, ...]
    width: float
    depth: float
    resolution: int
    dropout: float
    madds: int
    params: int
    paper_madds: int
    paper_params: int
    paper_top1: float
    paper_top5: float
    note: str


def list_models(pattern: str = "*") -> list[str]:
    """Names that match a shell-style pattern, such as "scarlet_a*", sorted."""
    return sorted(fnmatch.filter(_TABLE, pattern))


@functools.cache
def get_spec(name: str) -> ArchSpec:
    """The published network's ArchSpec; ValueError names the nearest model."""
    entry = _lookup(name)
    space = get_space("scarlet")
    return scale(
        space.spec(space.parse(entry.genome), name=name),
        width=entry.width,
        depth=entry.depth,
        resolution=entry.resolution,
        dropout=entry.dropout,
    )


def model_info(name: str) -> ModelInfo:
    """Facts of a published network; ValueError names the nearest model."""
    entry, spec = _lookup(name), get_spec(name)
    counts = count(spec)
    return ModelInfo(
        name=name,
        genome=spec.genome,
        width=entry.width,
        depth=entry.depth,
        resolution=entry.resolution,
        dropout=entry.dropout,
        madds=counts.madds,
        params=counts.params,
        paper_madds=round(entry.paper_madds * 1e6),
        paper_params=round(entry.paper_params * 1e6),
        paper_top1=entry.paper_top1,
        paper_top5=entry.paper_top5,
        note=entry.note,
    )


def _lookup(name: str) -> _Entry:
    if name not in _TABLE:
        nearest = difflib.get_close_matches(str(name), _TABLE, n=1, cutoff=0)[0]
        raise ValueError(f"unknown model {name!r}: expected one of {list_models()}, nearest is {nearest!r}")
    return _TABLE[name]
