"""What a fair step takes, derived from the search space: operations, memory, checkpoints and communication.

Does not import TensorFlow. Each figure follows from the graph that `Supernet.fair_logits` and its gradient make;
docs/scale.md explains them and compares them with measurements.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

from scarlet_tf.arch import BlockSpec, SearchSpace
from scarlet_tf.arch.block import BLOCK_KINDS, conv_bn_counts, strided
from scarlet_tf.arch.counting import count_stem, count_tail
from scarlet_tf.choices import check_integer, check_known
from scarlet_tf.image_size import ImageSize, height_and_width
from scarlet_tf.supernet.sampler import runs_of_choices
from scarlet_tf.supernet.stacking import in_order, variable_shapes
from scarlet_tf.supernet.supernet_config import AT_A_TIME, PRECISIONS

FLOAT = 4  # bytes of a float32


class _Run(NamedTuple):
    """A run of a block in a fair step. Values are those of feature maps, for one image.

    Attributes:
        madds, se_madds: multiply-adds of the block, and those of its squeeze-and-excite alone.
        inputs, outputs: values of its input and output.
        kept: values that its backward pass needs besides the input: the maps before each BN, the padded input of a
            full convolution at stride 2, or a LET's pooled input.
        in_flight: most values of `kept` and others that its backward pass holds at once, besides its input and its
            output's gradient.
        hidden, normalised: values of hidden maps that are normalised, and of all maps that are.
        channels: channels of its BNs.
        is_let: whether it is a LET, which `recompute` does not run again.
    """

    madds: int
    se_madds: int
    inputs: int
    outputs: int
    kept: int
    in_flight: int
    hidden: int
    normalised: int
    channels: int
    is_let: bool


def _let(block: BlockSpec, size: ImageSize) -> _Run:
    after = _pixels(strided(size, block.stride))
    pooled = after * block.in_channels if block.stride == 2 else 0
    return _Run(
        madds=block.counts(size).madds,
        se_madds=0,
        inputs=_pixels(size) * block.in_channels,
        outputs=after * block.out_channels,
        kept=pooled,
        in_flight=2 * pooled,
        hidden=0,
        normalised=0,
        channels=0,
        is_let=True,
    )


def _block(block: BlockSpec, size: ImageSize) -> _Run:
    before, after = _pixels(size), _pixels(strided(size, block.stride))
    norms, hidden = BLOCK_KINDS[block.kind].norms, block.hidden_channels
    maps = [hidden * (after if strided_already else before) for strided_already in norms.values()]
    outputs = after * block.out_channels
    padded = 0
    if block.kind == "fused_inverted_residual" and block.stride == 2:
        height, width = height_and_width(size)
        padded = (height + block.kernel_size - 1) * (width + block.kernel_size - 1) * block.in_channels
    # Backward, first the projection: beside what is kept, the gradient before the last BN, the hidden map and its
    # gradient, and with SE both also before it. Then the first hidden map, its normalised form and the gradient of one.
    projection = sum(maps) + 2 * outputs + padded + (4 if block.has_se else 2) * maps[-1]
    return _Run(
        madds=block.counts(size).madds,
        se_madds=2 * hidden * block.se_channels,
        inputs=before * block.in_channels,
        outputs=outputs,
        kept=sum(maps) + outputs + padded,
        in_flight=max(projection, padded + 3 * maps[0]),
        hidden=sum(maps),
        normalised=sum(maps) + outputs,
        channels=len(norms) * hidden + block.out_channels,
        is_let=False,
    )


def share_of_batch(batch_size: int, devices: int) -> int:
    """Return a device's share of a global batch.

    Raises:
        ValueError: if the batch cannot be divided equally, naming the nearest one that can.
    """
    if batch_size % devices:
        nearest = max(1, round(batch_size / devices)) * devices
        raise ValueError(f"batch_size must be a multiple of the {devices} devices, got {batch_size}: use {nearest}")
    return batch_size // devices


def _pixels(size: ImageSize) -> int:
    return math.prod(height_and_width(size))


class _Layer(NamedTuple):
    """The runs of a layer in the order of execution, and the number of feature maps that they have as inputs."""

    runs: tuple[_Run, ...]
    distinct_inputs: int

    @property
    def inputs(self) -> int:
        return self.distinct_inputs * self.runs[0].inputs

    def kept(self, recompute: bool) -> list[int]:
        """Return, for every run, the values that are kept for the backward pass besides the input."""
        return [run.kept if run.is_let or not recompute else 0 for run in self.runs]

    def most_held(self, recompute: bool) -> int:
        """Return the most values that the layer holds in its backward pass.

        These are all inputs and gradients of outputs, what is kept for the runs to come, the gradients of inputs from
        those that ran, and those in flight: AT_A_TIME of them, the last ones first.
        """
        kept, most = self.kept(recompute), 0
        for end in range(len(self.runs), 0, -1):
            begin = max(0, end - AT_A_TIME)
            in_flight = sum(run.in_flight for run in self.runs[begin:end])
            gradients = sum(run.inputs for run in self.runs[end:])
            most = max(most, sum(kept[:begin]) + in_flight + gradients)
        return most + self.inputs + sum(run.outputs for run in self.runs)


@functools.lru_cache(maxsize=64)
def _layers(space: SearchSpace) -> tuple[_Layer, ...]:
    layers, width, size = [], space.first_channels, strided(space.resolution, space.stem_stride)
    choices_and_repeats = zip(space.layer_choices, runs_of_choices(space.num_choices), strict=True)
    for index, (choices, repeats) in enumerate(choices_and_repeats):
        outputs, stride = space.out_channels[index], space.strides[index]
        genes = in_order(choices)
        blocks = [choices[gene].block(width, out_channels=outputs, stride=stride, let=True) for gene in genes]
        runs = tuple(_let(b, size) if b.kind == "let" else _block(b, size) for b in blocks for _ in range(repeats))
        layers.append(_Layer(runs, distinct_inputs=len(runs) if index else 1))
        width, size = outputs, strided(size, stride)
    return tuple(layers)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FairStep:
    """What a fair step takes on each replica.

    Args:
        space: the search space; its `resolution` is the image size.
        batch_size: images of a replica.
        precision: see `fair_step.make_fair_step`.
        recompute: see `Supernet.fair_logits`.
        replicas: number of replicas.

    Raises:
        ValueError: if the precision is unknown, or a number is below 1.

    Example:
        >>> from scarlet_tf.arch import get_space
        >>> step = FairStep(space=get_space("scarlet"), batch_size=256)
        >>> round(step.madds / 1e6)  # of an image, all paths, forward
        4474
    """

    space: SearchSpace
    batch_size: int
    precision: str = "float32"
    recompute: bool = False
    replicas: int = 1

    def __post_init__(self) -> None:
        check_known("precision", self.precision, PRECISIONS)
        for field in ("batch_size", "replicas"):
            check_integer(field, getattr(self, field), least=1)

    @property
    def layers(self) -> tuple[_Layer, ...]:
        return _layers(self.space)

    @property
    def tails(self) -> int:
        """The number of feature maps that enter the tail."""
        return len(self.layers[-1].runs)

    @property
    def value_bytes(self) -> int:
        """The bytes of a value of a feature map."""
        return FLOAT if self.precision == "float32" else 2

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, 3) of an image."""
        return (*height_and_width(self.space.resolution), 3)

    # Operations

    @property
    def madds(self) -> int:
        """Multiply-adds of the forward pass of one image: the stem once, all runs of blocks, and a tail for each."""
        tail = count_tail(self.space, self.space.out_channels[-1], self._last_size).madds
        stem = count_stem(self.space, self.space.resolution).madds
        return stem + sum(run.madds for run in self._runs) + self.tails * tail

    @property
    def flops(self) -> int:
        """Operations of a step, two for each multiply-add of a convolution or a classifier.

        The backward pass takes twice the forward pass, for the gradients of input and kernel, except that the images
        need no gradient. It repeats SE, and with `recompute` the whole blocks, but no LETs.
        """
        stem_conv = conv_bn_counts(3, self.space.stem_channels, kernel=3, size=self._first_size).madds
        again = sum(run.se_madds + (run.madds if self.recompute and not run.is_let else 0) for run in self._runs)
        return 2 * self.batch_size * (3 * self.madds - stem_conv + again)

    @property
    def moved_bytes(self) -> int:
        """Bytes of feature maps that a step reads and writes if each operation does so once.

        A convolution reads its input and writes its output; backward it reads its output's gradient twice and its
        input, and writes its input's gradient. BN reads its input three times and writes its output; backward it reads
        its input and its output's gradient twice and writes its input's gradient, and before a convolution its output
        is computed again. With `recompute`, all that the forward pass of the blocks moves is moved again.
        """
        space, first, last = self.space, _pixels(self._first_size), _pixels(self._last_size)
        stem = _pixels(space.resolution) * 3 + first * (4 * space.stem_channels + space.first_channels)
        convolved = stem + self.tails * last * (space.out_channels[-1] + space.tail_channels)
        convolved += sum(run.inputs + run.outputs + 2 * run.hidden for run in self._runs)
        rerun = first * 2 * space.stem_channels + sum(run.hidden for run in self._runs)
        normalised = rerun + first * space.first_channels + self.tails * last * space.tail_channels
        normalised += sum(run.normalised - run.hidden for run in self._runs)
        values = 3 * convolved + 9 * normalised + 2 * rerun
        if self.recompute:
            blocks = [run for run in self._runs if not run.is_let]
            values += sum(run.inputs + run.outputs + 2 * run.hidden + 4 * run.normalised for run in blocks)
        return self.batch_size * self.value_bytes * values

    # Weights

    @functools.cached_property
    def variables(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the supernet's variables by name."""
        return variable_shapes(self.space)

    @property
    def trainable(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the trainable variables by name: without moving statistics and plain identities."""
        plain = {
            f"layer{layer:02d}/let"
            for layer, choices in enumerate(self.space.layer_choices)
            if any(choice.kind == "identity" for choice in choices)
        }
        return {name: s for name, s in self.variables.items() if "/moving_" not in name and name not in plain}

    @property
    def params(self) -> int:
        """The number of trainable parameters."""
        return sum(map(math.prod, self.trainable.values()))

    @property
    def weight_bytes(self) -> int:
        """Bytes of the supernet's variables, moving statistics included."""
        return FLOAT * sum(map(math.prod, self.variables.values()))

    @property
    def velocity_bytes(self) -> int:
        """Bytes of the optimizer's velocities; as many are the gradients'."""
        return FLOAT * self.params

    @property
    def checkpoint_bytes(self) -> int:
        """Bytes of a checkpoint, an .npz file, without the few kB of the run's settings."""
        arrays = dict(self.variables) | {f"velocity/{name}": shape for name, shape in self.trainable.items()}
        if self.precision == "mixed_float16":
            arrays |= {"loss_scale": (), "loss_scale_steady": ()}
        # zipfile: 30 and 46 bytes beside an entry's name, 20 for its size in 64 bits; NumPy: a header of 128 bytes.
        # The record lists the names.
        entries = sum(30 + 46 + 20 + 2 * len(f"{name}.npy") + 128 + len(f'"{name}", ') for name in arrays)
        return entries + FLOAT * sum(map(math.prod, arrays.values()))

    # Memory of tensors

    @property
    def input_bytes(self) -> int:
        """Bytes of a batch of float32 images."""
        return FLOAT * self.batch_size * math.prod(self.image_shape)

    @property
    def kept_bytes(self) -> int:
        """Bytes of feature maps that are kept from the forward pass for the backward pass."""
        tails = self.tails * _pixels(self._last_size) * (self.space.out_channels[-1] + self.space.tail_channels)
        values = self._stem_kept + tails + sum(layer.inputs + sum(layer.kept(self.recompute)) for layer in self.layers)
        return self.batch_size * self.value_bytes * values

    @property
    def activation_bytes(self) -> int:
        """Bytes of feature maps and their gradients at the peak of a step.

        The peak is where the backward pass of the tail begins, when nothing is freed, or in a layer, with the kept maps
        of this layer and those before it.
        """
        tail = _pixels(self._last_size) * self.space.tail_channels
        # The gradient of the mean in float32, before and after its division, and the gradients of BN.
        most = self.kept_bytes + self.batch_size * tail * 2 * (FLOAT + self.value_bytes)
        held = self._stem_kept
        for layer in self.layers:
            most = max(most, self.batch_size * self.value_bytes * (held + layer.most_held(self.recompute)))
            held += layer.inputs + sum(layer.kept(self.recompute))
        return most

    @property
    def peak_bytes(self) -> int:
        """Bytes of all tensors at the peak of a step."""
        return self.weight_bytes + 2 * self.velocity_bytes + self.input_bytes + self.activation_bytes

    def largest_batch(self, memory: float, *, taken: Callable[[FairStep], float] | None = None) -> int:
        """Return the largest batch that fits into a device's memory; 0 if not even one image does.

        Args:
            memory: bytes of the device.
            taken: returns the bytes that a step takes. Default: `peak_bytes`.
        """
        taken = taken or (lambda step: step.peak_bytes)
        batches = range(1, 2**20)
        return bisect.bisect_right(batches, memory, key=lambda size: taken(dataclasses.replace(self, batch_size=size)))

    # Communication

    @property
    def all_reduce_bytes(self) -> int:
        """Bytes that a replica sends in a step with ring all-reduces: 2 (n-1)/n of what it reduces.

        It reduces the gradients, and for every BN two vectors of statistics forward and two of gradients backward;
        with `recompute`, the statistics of blocks again.
        """
        stem = 2 * self.space.stem_channels + self.space.first_channels
        channels = 4 * (stem + self.tails * self.space.tail_channels)
        channels += (6 if self.recompute else 4) * sum(run.channels for run in self._runs)
        return 2 * (self.replicas - 1) * (self.velocity_bytes + FLOAT * channels) // self.replicas

    @property
    def _runs(self) -> list[_Run]:
        return [run for layer in self.layers for run in layer.runs]

    @property
    def _first_size(self) -> ImageSize:
        return strided(self.space.resolution, self.space.stem_stride)

    @property
    def _last_size(self) -> ImageSize:
        return functools.reduce(strided, self.space.strides, self._first_size)

    @property
    def _stem_kept(self) -> int:
        height, width = height_and_width(self.space.resolution)
        maps = 2 * self.space.stem_channels + self.space.first_channels
        return (height + 2) * (width + 2) * 3 + _pixels(self._first_size) * maps
