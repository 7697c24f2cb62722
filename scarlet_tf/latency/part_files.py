"""Files of the parts of a space's networks, and of whole networks joined from them.

All parts with the same input shape are branches of one Keras model, which is converted once and then cut: far faster
than a conversion for each part.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np

from scarlet_tf.arch.parts import STEM, TAIL, Part, parts_of
from scarlet_tf.arch.space import SearchSpace
from scarlet_tf.export.saved_model import save_frozen_outputs
from scarlet_tf.export.tflite import Converted, finish_conversion, start_conversion
from scarlet_tf.files import write_atomically
from scarlet_tf.layers import BatchNorm
from scarlet_tf.models.builder import apply_block, apply_stem, apply_tail, apply_top
from scarlet_tf.progress import progress
from scarlet_tf.tflite.cut_and_join import cut_outputs, join, make_identity

_IMAGES = 2  # of noise, to calibrate int8 with: ranges do not change the time


class PartFiles:
    """A folder with the .tflite files of parts and networks, made as an export makes them; existing ones are kept.

    Weights and int8 calibration images are random. In int8 formats, a part takes and returns int8 where it does so
    within a network.

    Args:
        space: the search space.
        folder: folder of the files; created if necessary.
        quantize: format of the files, as for `scarlet_tf.export.convert`.
        seed: of the images.

    Example:
        >>> files = PartFiles(space, "parts", quantize="float32")
        >>> files.convert(parts_of(space))
        >>> path = files.write_network((0,) * space.num_layers)
    """

    def __init__(self, space: SearchSpace, folder: str | os.PathLike, *, quantize: str, seed: int = 0) -> None:
        self._space, self._folder, self._quantize, self._seed = space, Path(folder), quantize, seed

    def convert(self, parts: Iterable[Part]) -> None:
        """Convert parts, as far as is needed to write their files or networks that have them."""
        missing = [part for part in parts if not self._started(part).exists()]
        shapes = dict.fromkeys(part.input_shape for part in missing)
        for shape in progress(shapes, "convert", unit="input shape"):
            self._convert([part for part in missing if part.input_shape == shape])

    def write_part(self, part: Part) -> Path:
        """Write the file of a converted part, and return its path."""
        path = self._folder / f"{part.name}.tflite"
        if not path.exists():
            ends = {}
            if self._quantize.startswith("int8"):
                ends |= {} if part.kind == STEM else {"input_type": "int8"}
                ends |= {} if part.kind == TAIL else {"output_type": "int8"}
            self._finish(self._started(part).read_bytes(), path, **ends)
        return path

    def write_network(self, genome: Sequence[int]) -> Path:
        """Write the file of a genome's network, whose parts have been converted, and return its path."""
        path = self._folder / f"network_{'_'.join(map(str, genome))}.tflite"
        if not path.exists():
            started = [self._started(part).read_bytes() for part in parts_of(self._space).of(genome)]
            self._finish(join(started), path)
        return path

    def write_call(self) -> Path:
        """Write a file that returns its input, whose cost is that of the interpreter's call, and return its path."""
        path = self._folder / "call.tflite"
        if not path.exists():
            write_atomically(path, make_identity())
        return path

    def _started(self, part: Part) -> Path:
        """Return the path of a part after the first half of the conversion, in which parts can be joined."""
        return self._folder / "started" / f"{part.name}.tflite"

    def _convert(self, parts: Sequence[Part]) -> None:
        """Write the started files of parts that all have the same input shape."""
        image = keras.Input(parts[0].input_shape, batch_size=1, name="image")
        model = keras.Model(image, {part.name: self._apply(part, image) for part in parts})
        images = None
        if self._quantize.startswith("int8"):
            rng = np.random.default_rng(self._seed)
            images = [rng.standard_normal((_IMAGES, *parts[0].input_shape), np.float32)]
        with tempfile.TemporaryDirectory() as folder:
            save_frozen_outputs(model, folder)
            started = start_conversion(folder, quantize=self._quantize, representative=images)
        contents = cut_outputs(started.content)
        for part in parts:
            write_atomically(self._started(part), contents[part.name])

    def _apply(self, part: Part, x):
        bn, spec = BatchNorm(), self._space.spec((0,) * self._space.num_layers)
        if part.kind == STEM:
            return apply_stem(x, spec, bn=bn)
        if part.kind == TAIL:
            return apply_top(apply_tail(x, spec, bn=bn), spec)
        return apply_block(x, part.block, bn=bn, name=part.name)

    def _finish(self, content: bytes, path: Path, **ends: str) -> None:
        started = Converted(content=content, reports=())
        write_atomically(path, finish_conversion(started, quantize=self._quantize, **ends).content)
