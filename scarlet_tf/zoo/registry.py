"""The published networks in one table (paper: Tables 3 and 4). Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import functools
import os
import re
from collections.abc import Sequence

import numpy as np

from scarlet_tf.arch import ArchSpec, SpecError, count, get_space, scale
from scarlet_tf.paths import local_copy, no_such


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


_REGISTERED: dict[str, ArchSpec] = {}  # in this process, by `register`


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts about a network.

    Attributes:
        genome: choice indices in its search space, None if it comes from none; A2 and A4 have A's, and are scaled.
        resolution: side of the input in pixels.
        dropout: rate before the classifier.
        madds, params: our counts, plain numbers (`scarlet_tf.arch.count`).
        paper_madds, paper_params, paper_top1, paper_top5: the paper's values: plain numbers, percent on ImageNet. None
            for all but the published networks.
        source: where the network comes from.
        note: where our count and the paper's differ, and by how much.
    """

    name: str
    genome: tuple[int, ...] | None
    resolution: int
    dropout: float
    madds: int
    params: int
    paper_madds: int | None = None
    paper_params: int | None = None
    paper_top1: float | None = None
    paper_top5: float | None = None
    source: str
    note: str = ""


def list_models(pattern: str = "*") -> list[str]:
    """Return the names that match a shell-style pattern, sorted.

    Example:
        >>> list_models("scarlet_a*")
        ['scarlet_a', 'scarlet_a2', 'scarlet_a4']
    """
    return sorted(fnmatch.filter([*_TABLE, *_REGISTERED], pattern))


def register(spec: ArchSpec) -> None:
    """Register your own network, so that in this process everything that takes a model's name knows it.

    Raises:
        ValueError: if the name is taken, or would be read as a file or a genome.

    Example:
        >>> from scarlet_tf.arch import scale
        >>> register(scale(get_spec("scarlet_a"), width=0.5, name="half"))
    """
    if spec.name in _TABLE or _REGISTERED.get(spec.name, spec) != spec:
        raise ValueError(f"model name {spec.name!r} is already taken: expected another name")
    if {",", ":"} & set(spec.name) or spec.name.endswith((".json", ".keras")):
        raise ValueError(f"model name {spec.name!r} must not contain a comma or colon, or end in .json or .keras")
    _REGISTERED[spec.name] = spec


def get_spec(name: str) -> ArchSpec:
    """Return the ArchSpec of a named network.

    Raises:
        ValueError: for an unknown name; the message gives the nearest.

    Example:
        >>> get_spec("scarlet_a2").resolution
        260
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    _check_known(name)
    return _published(name)


def resolve_spec(model: str | os.PathLike | Sequence[int] | ArchSpec) -> ArchSpec:
    """Return the ArchSpec of a name, a JSON file or a genome; an ArchSpec is returned unchanged.

    A genome belongs to the search space "scarlet" if it is a sequence or text such as "8,9,...". It names another space
    as "small:3,12,1,7,11,0" or "my_space.json:0,2,1".

    Raises:
        ValueError: for an unknown name (with the nearest), a bad spec or genome, or the path of something else.
        FileNotFoundError: for text that looks like a path, by a separator or a suffix, but does not exist.

    Example:
        >>> resolve_spec("small:3,12,1,7,11,0").space
        'small'
    """
    if isinstance(model, ArchSpec):
        return model
    if isinstance(model, (str, os.PathLike)):
        text = os.fspath(model)
        if text in list_models():
            return get_spec(text)
        if text.endswith(".json"):
            return ArchSpec.load(text)
        space, colon, genome = text.rpartition(":")
        if colon and re.fullmatch(r"[\d,\s]+", genome):
            return get_space(space).spec(get_space(space).parse(genome))
        _check_not_a_path(text)
        if "," in text:
            return get_space("scarlet").spec(get_space("scarlet").parse(text))
        return get_spec(text)
    if isinstance(model, (Sequence, np.ndarray)):
        return get_space("scarlet").spec(model)
    raise SpecError(f"a model must be a name, a spec's JSON file, a genome or an ArchSpec, got {type(model).__name__}")


def _check_not_a_path(text: str) -> None:
    path = local_copy(text)
    if path.exists():
        kind, spec = "folder" if path.is_dir() else "file", path / "spec.json"
        hint = f", such as {spec}" if spec.is_file() else ""
        raise ValueError(f"{text} is a {kind}: expected a model's name, a spec's .json file{hint}, or a genome")
    if {"/", os.sep} & set(text) or re.search(r"\.[A-Za-z]\w*$", text):
        raise FileNotFoundError(no_such(text, what="file or folder"))


@functools.cache
def _published(name: str) -> ArchSpec:
    entry, space = _TABLE[name], get_space("scarlet")
    return scale(
        space.spec(space.parse(entry.genome), name=name),
        width=entry.width,
        depth=entry.depth,
        resolution=entry.resolution,
        dropout=entry.dropout,
        name=name,
    )


def model_info(model: str | os.PathLike | Sequence[int] | ArchSpec) -> ModelInfo:
    """Return facts about anything that `create_model` takes, such as `arch.scale(get_spec("scarlet_a"), width=0.5)`.

    Raises:
        ValueError, FileNotFoundError: as `resolve_spec`.

    Example:
        >>> model_info("scarlet_a").paper_top1
        76.9
    """
    spec = resolve_spec(model)
    counts = count(spec)
    if spec.name in _TABLE and spec == _published(spec.name):
        stated = _stated(_TABLE[spec.name])
    else:
        stated = {"source": f"search space {spec.space!r}" if spec.space else "custom spec"}
    return ModelInfo(
        name=spec.name,
        genome=spec.genome,
        resolution=spec.resolution,
        dropout=spec.dropout,
        madds=counts.madds,
        params=counts.params,
        **stated,
    )


def _stated(entry: _Entry) -> dict:
    return {
        "paper_madds": round(entry.paper_madds * 1e6),
        "paper_params": round(entry.paper_params * 1e6),
        "paper_top1": entry.paper_top1,
        "paper_top5": entry.paper_top5,
        "source": "SCARLET-NAS, Tables 3 and 4",
        "note": entry.note,
    }


def _check_known(name: str) -> None:
    known = list_models()
    if name not in known:
        nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0)[0]
        raise ValueError(f"unknown model {name!r}: expected one of {known}, nearest is {nearest!r}")
