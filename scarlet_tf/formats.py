"""Export formats: their names, their former names, and which options go together."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Collection
from pathlib import Path

from scarlet_tf.choices import check_known

FLOAT32 = "float32"
QUANTIZATIONS = (FLOAT32, "float16", "dynamic", "int8", "int8_pure")
END_TYPES = (FLOAT32, "int8", "uint8")  # dtypes of a file's input and output
XNNPACK, ARM64, HOST, ANDROID, SIZE, NONE = "xnnpack", "arm64", "host", "android", "size", "none"
TARGETS = (XNNPACK, ARM64, HOST, ANDROID, SIZE, NONE)
PLAIN = "plain"  # in tables, a file of target "none": as the converter wrote it, not optimised

SAVED_MODEL, ONNX = "saved_model", "onnx"
FORMATS = (SAVED_MODEL, ONNX, *QUANTIZATIONS)

_FORMER_NAMES = {"none": FLOAT32, "fp32": FLOAT32}


def current_name(name: str) -> str:
    """Return the current name of a format; older files, records and file names may have its former name."""
    return _FORMER_NAMES.get(name, name)


def parse_format(what: str, name: str, known: Collection[str] = FORMATS) -> str:
    """Return the current name of a format that a user asks for; a former name prints a line on standard error.

    Args:
        what: what the name is, for messages.
        name: a current or former name.
        known: the valid current names.

    Raises:
        ValueError: for a name that is not one of `known`, naming the nearest.
    """
    if name in _FORMER_NAMES:
        print(f"{what} {name!r} is now called {current_name(name)!r}", file=sys.stderr)
    check_known(what, current_name(name), known)
    return current_name(name)


_ENDINGS = (".tflite", ".onnx", ".keras", ".h5", ".pth", ".json")


def check_ending(path: str | os.PathLike, expected: str) -> None:
    """Raise ValueError if an output file has the ending of another format."""
    ending = Path(path).suffix.lower()
    if ending != expected and ending in _ENDINGS:
        raise ValueError(f"ending of --output must be {expected!r}, got {os.fspath(path)!r}")


def format_in_name(path: str | os.PathLike) -> str | None:
    """Return the format in a file name such as `int8.tflite`, `m_int8.tflite` or `saved_model`; else None."""
    stem = Path(path).name.removesuffix(".tflite")
    # The longest first: "m_int8_pure" also contains "int8".
    for name in sorted((*FORMATS, *_FORMER_NAMES), key=len, reverse=True):
        if stem == name or (name != "none" and stem.endswith((f"_{name}", f"-{name}", f".{name}"))):
            return current_name(name)
    return None


def check_max_growth(max_growth: float | None, *, optimize_for: str, quantize: str | None = None) -> None:
    """Raise ValueError for a bound of growth below 1, or one beside a target that has its own; None is no bound.

    Args:
        quantize: a current name; "int8_pure", whose rewriting has no bound, takes none.
    """
    if quantize == "int8_pure" and (max_growth is not None or optimize_for == SIZE):
        given = f"optimize_for {optimize_for!r}" if max_growth is None else f"max_growth {max_growth!r}"
        raise ValueError(
            f"int8_pure files have one rewritten form only: expected optimize_for 'none' or 'xnnpack', got {given}"
        )
    if max_growth is not None and not 1 <= max_growth < math.inf:
        raise ValueError(f"max_growth must be a multiple of the plain file's size, at least 1, got {max_growth!r}")
    if max_growth is not None and optimize_for in (NONE, SIZE):
        raise ValueError(f"optimize_for {optimize_for!r} bounds the file itself: omit max_growth")


def check_options(
    *, quantize: str, input_type: str, output_type: str, has_representative: bool, optimize_for: str
) -> None:
    """Raise ValueError for an unknown option, naming the nearest valid one, and for options that exclude each other.

    Args:
        quantize: a current name; see `parse_format`.
        has_representative: whether there are calibration images.
    """
    for label, value, known in (
        ("quantize", quantize, QUANTIZATIONS),
        ("input_type", input_type, END_TYPES),
        ("output_type", output_type, END_TYPES),
        ("optimize_for", optimize_for, TARGETS),
    ):
        check_known(label, value, known)
    integer = quantize.startswith("int8")
    for label, value in (("input_type", input_type), ("output_type", output_type)):
        if value != FLOAT32 and not integer:
            raise ValueError(f"{label} {value!r} needs quantize 'int8' or 'int8_pure', got {quantize!r}")
    if integer and not has_representative:
        raise ValueError(
            f"quantize {quantize!r} needs a representative dataset to calibrate with, such as "
            "--representative_dataset=fashion_mnist"
        )
    if not integer and has_representative:
        raise ValueError(f"a representative dataset needs quantize 'int8' or 'int8_pure', got {quantize!r}")
