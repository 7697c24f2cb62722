"""Block descriptions: `BlockSpec`, and the validation, counts and wording of every kind of block."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, NamedTuple

from scarlet_tf.choices import check_integer, check_known
from scarlet_tf.image_size import ImageSize, height_and_width

BLOCK_ACTIVATIONS = ("h_swish", "relu6")
LET_KINDS = ("let", "let_relu")


class SpecError(ValueError):
    """Error for a network description that cannot be built; the message names the value and what was expected."""


class Counts(NamedTuple):
    """Numbers of multiply-adds and parameters, not in millions."""

    madds: int
    params: int


class Weight(NamedTuple):
    """A weight of a block that has BNs.

    Attributes:
        name: its name in the stand-alone model, without the block's prefix.
        shape: without leading ones.
        fan_out: of the initialisation N(0, sqrt(2/fan_out)); 0: initialise with zeros.
    """

    name: str
    shape: tuple[int, ...]
    fan_out: int


def check_that(condition: bool, message: str) -> None:
    """Raise SpecError with this message unless the condition holds."""
    if not condition:
        raise SpecError(message)


def check_integers(owner: str, lower_bounds: dict[str, tuple[object, int]]) -> None:
    """Raise SpecError unless every value is an integer >= its lower bound.

    Args:
        owner: what the fields belong to, for the message.
        lower_bounds: field name -> (value, lower bound).
    """
    for field, (value, least) in lower_bounds.items():
        check_integer(f"{owner}: {field}", value, least=least, error=SpecError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockSpec:
    """One layer of a network (paper: Table 1, Fig. 2).

    Attributes:
        kind: a key of BLOCK_KINDS; the class there describes what it computes.
        in_channels, out_channels: channels of the input and the output feature map.
        stride: 1 or 2.
        kernel_size, hidden_channels, activation: those of the wide convolution in the middle.
        se_channels: channels of the squeeze-and-excite bottleneck; 0 means no squeeze-and-excite.
        shortcut: whether the input is added to the output.

    Raises:
        SpecError: for values that the kind does not support.

    Example:
        >>> BlockSpec(kind="let", in_channels=16, out_channels=24).counts(14)
        Counts(madds=75264, params=384)
    """

    kind: str
    in_channels: int
    out_channels: int
    stride: int = 1
    kernel_size: int = 1
    hidden_channels: int = 0
    se_channels: int = 0
    shortcut: bool = False
    activation: str = "h_swish"

    def __post_init__(self) -> None:
        owner = f"block {self.kind!r}"
        check_known("block kind", self.kind, tuple(BLOCK_KINDS), error=SpecError)
        check_integers(owner, {"in_channels": (self.in_channels, 1), "out_channels": (self.out_channels, 1)})
        check_that(self.stride in (1, 2), f"{owner}: stride must be 1 or 2, got {self.stride!r}")
        BLOCK_KINDS[self.kind].check(self)

    @property
    def has_se(self) -> bool:
        return self.se_channels > 0

    @property
    def expands(self) -> bool:
        """Whether the block has hidden channels, so that its expansion, kernel, SE and shortcut are meaningful."""
        return BLOCK_KINDS[self.kind].expands

    def counts(self, size: ImageSize) -> Counts:
        """Return the multiply-adds and parameters of the block.

        Args:
            size: size of the input feature map: its side, or (height, width).
        """
        return BLOCK_KINDS[self.kind].counts(self, size)

    def describe(self) -> str:
        """Return a description in words, without the numbers of channels."""
        return BLOCK_KINDS[self.kind].describe(self)

    def to_dict(self) -> dict:
        """Return the fields as a dict, without `activation` if it is h-swish: files older than this field lack it."""
        fields = dataclasses.asdict(self)
        if self.activation == "h_swish":
            del fields["activation"]
        return fields


class InvertedResidual:
    """Inverted residual: 1x1 expansion, depthwise convolution, optional SE, 1x1 projection, optional shortcut.

    BN follows the expansion, the depthwise convolution and the projection. The shortcut is possible where input and
    output have the same shape.
    """

    expands = True
    letter, words = "", ""  # prefix of the kernel size in drawings, prefix of the description
    # BNs of the hidden channels, in order, and whether each is after the stride. "project_bn", of the output, follows.
    norms: ClassVar = {"expand_bn": False, "depthwise_bn": True}

    def check(self, block: BlockSpec) -> None:
        owner = f"block {block.kind!r}"
        check_integers(owner, {"hidden_channels": (block.hidden_channels, 1), "se_channels": (block.se_channels, 0)})
        kernel = block.kernel_size
        odd = isinstance(kernel, int) and not isinstance(kernel, bool) and kernel >= 3 and kernel % 2 == 1
        check_that(odd, f"{owner}: kernel_size must be an odd integer >= 3, got {kernel!r}")
        check_known("activation", block.activation, BLOCK_ACTIVATIONS, error=SpecError)
        check_that(isinstance(block.shortcut, bool), f"{owner}: shortcut must be a bool, got {block.shortcut!r}")
        addable = block.stride == 1 and block.in_channels == block.out_channels
        check_that(
            addable or not block.shortcut,
            f"{owner}: shortcut needs stride 1 and in_channels == out_channels, "
            f"got stride {block.stride}, {block.in_channels} -> {block.out_channels}",
        )

    def counts(self, block: BlockSpec, size: ImageSize) -> Counts:
        hidden, after = block.hidden_channels, strided(size, block.stride)
        parts = [
            *self.wide_counts(block, size),
            conv_bn_counts(hidden, block.out_channels, kernel=1, size=after),
        ]
        if block.has_se:
            parts.append(conv_counts(hidden, block.se_channels, kernel=1, size=1, bias=True))
            parts.append(conv_counts(block.se_channels, hidden, kernel=1, size=1, bias=True))
        return total(parts)

    def wide_counts(self, block: BlockSpec, size: ImageSize) -> list[Counts]:
        """Return the counts of the convolutions before SE and the projection."""
        hidden, after = block.hidden_channels, strided(size, block.stride)
        return [
            conv_bn_counts(block.in_channels, hidden, kernel=1, size=size),
            conv_bn_counts(hidden, hidden, kernel=block.kernel_size, size=after, groups=hidden),
        ]

    def weights(self, block: BlockSpec) -> list[Weight]:
        """Return the weights other than those of BNs, in order."""
        hidden, reduced = block.hidden_channels, block.se_channels
        se = [
            Weight("se_reduce/kernel", (hidden, reduced), reduced),
            Weight("se_reduce/bias", (reduced,), 0),
            Weight("se_expand/kernel", (reduced, hidden), hidden),
            Weight("se_expand/bias", (hidden,), 0),
        ]
        project = Weight("project_conv/kernel", (hidden, block.out_channels), block.out_channels)
        return [*self.wide_weights(block), *(se if block.has_se else ()), project]

    def wide_weights(self, block: BlockSpec) -> list[Weight]:
        """Return the weights of the convolutions before SE and the projection."""
        hidden, kernel = block.hidden_channels, block.kernel_size
        return [
            Weight("expand_conv/kernel", (block.in_channels, hidden), hidden),
            Weight("depthwise_conv/kernel", (kernel, kernel, hidden, 1), kernel**2 * hidden),
        ]

    def describe(self, block: BlockSpec) -> str:
        kernel = f"kernel {block.kernel_size}\N{MULTIPLICATION SIGN}{block.kernel_size}"
        words = f"{self.words}{kernel}, expansion {block.hidden_channels / block.in_channels:g}"
        words += "" if block.activation == "h_swish" else f", {block.activation}"
        words += ", squeeze-and-excite" if block.has_se else ""
        return words + (", stride 2" if block.stride == 2 else "")


class FusedInvertedResidual(InvertedResidual):
    """Inverted residual with one full convolution for expansion and depthwise (EfficientNetV2's Fused-MBConv)."""

    letter, words = "F", "fused, "
    norms: ClassVar = {"expand_bn": True}

    def wide_counts(self, block: BlockSpec, size: ImageSize) -> list[Counts]:
        after = strided(size, block.stride)
        return [conv_bn_counts(block.in_channels, block.hidden_channels, kernel=block.kernel_size, size=after)]

    def wide_weights(self, block: BlockSpec) -> list[Weight]:
        hidden, kernel = block.hidden_channels, block.kernel_size
        shape = (kernel, kernel, block.in_channels, hidden)
        return [Weight("expand_conv/kernel", shape, kernel**2 * hidden)]


class Bare:
    """Base class of kinds without expansion, kernel, SE or shortcut; at stride 2 they begin with a 2x2 max pool."""

    expands = False

    def __init__(self, words: str) -> None:
        self._words = words

    def check(self, block: BlockSpec) -> None:
        owner = f"block {block.kind!r}"
        unused = (block.kernel_size, block.hidden_channels, block.se_channels, block.shortcut, block.activation)
        least = (1, 0, 0, False, "h_swish")
        check_that(
            unused == least,
            f"{owner}: accepts no kernel size, hidden channels, squeeze-and-excite, shortcut or activation, "
            f"got {unused}",
        )

    def counts(self, block: BlockSpec, size: ImageSize) -> Counts:
        return Counts(0, 0)

    def describe(self, block: BlockSpec) -> str:
        return self._words + (" after a 2\N{MULTIPLICATION SIGN}2 max pool" if block.stride == 2 else "")


class Identity(Bare):
    """Identity: the output is the input, max-pooled at stride 2."""

    def check(self, block: BlockSpec) -> None:
        super().check(block)
        check_that(
            block.in_channels == block.out_channels,
            f"block {block.kind!r}: cannot change the channel count, got {block.in_channels} -> {block.out_channels}",
        )


class Let(Bare):
    """Linearly equivalent transformation (LET): a 1x1 convolution without bias or BN.

    Kind "let_relu" adds a ReLU, so it is not linear; it serves only as a comparison (paper: Fig. 4).
    """

    def counts(self, block: BlockSpec, size: ImageSize) -> Counts:
        return conv_counts(block.in_channels, block.out_channels, kernel=1, size=strided(size, block.stride))


BLOCK_KINDS = {
    "inverted_residual": InvertedResidual(),
    "fused_inverted_residual": FusedInvertedResidual(),
    "identity": Identity("identity"),
    "let": Let("linearly equivalent transformation (1\N{MULTIPLICATION SIGN}1 convolution)"),
    "let_relu": Let("1\N{MULTIPLICATION SIGN}1 convolution and ReLU"),
}


def conv_counts(
    inputs: int, outputs: int, *, kernel: int, size: ImageSize, groups: int = 1, bias: bool = False
) -> Counts:
    """Return the counts of a convolution; `size` is the size of its output map."""
    height, width = height_and_width(size)
    weights = inputs * outputs * kernel * kernel // groups
    return Counts(weights * height * width, weights + outputs * bias)


def conv_bn_counts(inputs: int, outputs: int, *, kernel: int, size: ImageSize, groups: int = 1) -> Counts:
    """Return the counts of a convolution and its BN. Gamma and beta count as parameters; moving statistics do not."""
    conv = conv_counts(inputs, outputs, kernel=kernel, size=size, groups=groups)
    return Counts(conv.madds, conv.params + 2 * outputs)


def total(parts: list[Counts]) -> Counts:
    """Return the sum of counts."""
    return Counts(sum(p.madds for p in parts), sum(p.params for p in parts))


def strided(size: ImageSize, stride: int) -> ImageSize:
    """Return the output size of a padded convolution or a ceil-mode pool: its side, or (height, width)."""
    return -(-size // stride) if isinstance(size, int) else tuple(-(-side // stride) for side in size)
