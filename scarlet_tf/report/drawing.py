"""SVG drawings of networks (paper: Fig. 5), for the report, READMEs and model cards.

One block per layer, from left to right. Colour and number: kernel size. Height: expansion ratio. Frame:
squeeze-and-excite. Arrow: identity; with a diamond: LET. Dashed line: downsampling. Stem and tail are omitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from scarlet_tf.arch import ArchSpec, BlockSpec, SearchSpace
from scarlet_tf.arch.block import BLOCK_KINDS, strided
from scarlet_tf.image_size import ImageSize, height_and_width

# (fill, text). They differ in hue and lightness, for colour-blind readers and in print.
_KERNEL_COLOURS = {
    3: ("#56b4e9", "#10222e"),
    5: ("#e69f00", "#2b1d00"),
    7: ("#7b4fb5", "#ffffff"),
    9: ("#009e73", "#001c14"),
}
_OTHER_KERNELS = ("#d55e00", "#2a1200")

_PITCH, _WIDTH = 26, 18
_UNIT = 7  # pixels of height per unit of expansion ratio
_TOP, _BOTTOM, _MARGIN = 20, 18, 14
_LEAST_EXPANSION = 6
_FRAME = 3  # distance of the SE frame from its block
_NEUTRAL_NAME = "network"
_TIMES = "\N{MULTIPLICATION SIGN}"

# A drawing adapts to both colour schemes wherever it is used; a page around it may set `.arch` more specifically.
_STYLE = "<style>.arch{color:#22303c}@media(prefers-color-scheme:dark){.arch{color:#dbe4ec}}</style>"


def draw_architecture(spec: ArchSpec, *, legend: bool = False) -> str:
    """Return a self-contained SVG picture of a network, stand-alone or with LETs, scaled or not.

    Elements have classes to count or style them by: "block k3|k5|k7", "frame" (SE), "identity", "let", "downsample".

    Example:
        >>> from scarlet_tf.zoo import get_spec
        >>> svg = draw_architecture(get_spec("scarlet_a"), legend=True)
    """
    tallest = max([_LEAST_EXPANSION, *(_expansion(block) for block in spec.blocks)])
    before, after = _surroundings(
        strides=[block.stride for block in spec.blocks],
        size=strided(spec.resolution, spec.stem_stride),
        tallest=tallest,
        name=spec.name,
        legend=_legend(spec.blocks) if legend else (),
    )
    blocks = [_draw_block(block, layer, middle=_middle(tallest)) for layer, block in enumerate(spec.blocks)]
    return before + "".join(blocks) + after


def draw_legend(space: SearchSpace) -> str:
    """Return the legend for drawings of a space's models as a separate SVG picture."""
    blocks = [
        space.block(layer, gene, space.first_channels)
        for layer, choices in enumerate(space.num_choices)
        for gene in range(choices)
    ]
    legend = _legend(blocks)
    width, height = _legend_width(legend), _UNIT * _LEAST_EXPANSION + 2 * _FRAME + 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="arch legend" role="img" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="system-ui,sans-serif">'
        f"<title>Key to the drawings</title>{_STYLE}{_legend_items(legend, y=height / 2)}</svg>"
    )


def drawing_parts(space: SearchSpace) -> dict:
    """Return the parts from which a browser can assemble the drawing of any stand-alone model of a space.

    Returns:
        "before" and "after", and "blocks": one list per layer with the SVG of each choice. For every genome,
        before + blocks[0][genome[0]] + blocks[1][genome[1]] + ... + after is `draw_architecture` of its model under
        the name "network", as high as the space's tallest block.
    """
    # A block's drawing does not show its channels, so any input width will do.
    width = space.first_channels
    blocks = [
        [space.block(layer, gene, width) for gene in range(choices)] for layer, choices in enumerate(space.num_choices)
    ]
    tallest = max([_LEAST_EXPANSION, *(_expansion(block) for options in blocks for block in options)])
    before, after = _surroundings(
        strides=space.strides,
        size=strided(space.resolution, space.stem_stride),
        tallest=tallest,
        name=_NEUTRAL_NAME,
        legend=(),
    )
    drawn = [
        [_draw_block(block, layer, middle=_middle(tallest)) for block in options]
        for layer, options in enumerate(blocks)
    ]
    return {"before": before, "after": after, "blocks": drawn}


def _expansion(block: BlockSpec) -> float:
    return block.hidden_channels / block.in_channels


def _middle(tallest: float) -> float:
    return _TOP + _FRAME + _UNIT * tallest / 2


def _draw_block(block: BlockSpec, layer: int, *, middle: float) -> str:
    kind = f"block k{block.kernel_size}" if block.expands else block.kind
    shape = _box(block, middle=middle) if block.expands else _pass_on(block, middle=middle)
    return (
        f'<g class="{kind}" transform="translate({_MARGIN + layer * _PITCH} 0)">'
        f"<title>Layer {layer}: {block.describe()}</title>{shape}</g>"
    )


def _box(block: BlockSpec, *, middle: float) -> str:
    fill, ink = _KERNEL_COLOURS.get(block.kernel_size, _OTHER_KERNELS)
    height, left = _UNIT * _expansion(block), (_PITCH - _WIDTH) / 2
    top = middle - height / 2
    parts = [
        f'<path d="M0 {middle:g}H{left:g}M{left + _WIDTH:g} {middle:g}H{_PITCH}" stroke="currentColor"/>',
        f'<rect x="{left:g}" y="{top:g}" width="{_WIDTH}" height="{height:g}" rx="3" fill="{fill}"/>',
    ]
    if block.has_se:
        parts.append(
            f'<rect class="frame" x="{left - _FRAME:g}" y="{top - _FRAME:g}" width="{_WIDTH + 2 * _FRAME}" '
            f'height="{height + 2 * _FRAME:g}" rx="5" fill="none" stroke="currentColor" stroke-width="1.6"/>'
        )
    parts.append(
        f'<text x="{_PITCH / 2:g}" y="{middle + 4:g}" text-anchor="middle" font-size="11" font-weight="600" '
        f'fill="{ink}">{BLOCK_KINDS[block.kind].letter}{block.kernel_size}</text>'
    )
    return "".join(parts)


def _pass_on(block: BlockSpec, *, middle: float) -> str:
    arrow = f"M0 {middle:g}H{_PITCH}M{_PITCH - 8} {middle - 4:g}l5 4l-5 4"
    line = f'<path d="{arrow}" fill="none" stroke="currentColor" stroke-width="1.4"/>'
    if block.kind == "identity":
        return line
    return line + f'<path d="M{_PITCH / 2 - 3:g} {middle - 6:g}l6 6l-6 6l-6 -6z" fill="currentColor"/>'


def _surroundings(
    *, strides: Sequence[int], size: ImageSize, tallest: float, name: str, legend: Sequence[_Sample]
) -> tuple[str, str]:
    """Return the SVG before and after the blocks; `size` is that of the first block's input."""
    middle, end = _middle(tallest), _MARGIN + len(strides) * _PITCH
    floor = 2 * middle - _TOP
    width, height = end + _MARGIN, floor + _BOTTOM
    below = ""
    if legend:
        width, row = max(width, _legend_width(legend)), _UNIT * _LEAST_EXPANSION + 2 * _FRAME + 10
        below, height = _legend_items(legend, y=height + row / 2), height + row
    before = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="arch" role="img" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="system-ui,sans-serif">'
        f"<title>{escape(name)}</title>{_STYLE}"
        f'<path d="M3 {middle:g}H{_MARGIN}M{end} {middle:g}h9m-5 -4l5 4l-5 4" fill="none" stroke="currentColor"/>'
    )
    return before, "".join([*_downsamplings(strides, size=size, floor=floor), *_indices(len(strides), floor)]) + (
        below + "</svg>"
    )


def _downsamplings(strides: Sequence[int], *, size: ImageSize, floor: float) -> list[str]:
    """Return dashed lines before the layers of stride 2, and the feature map's size above each stretch between them."""
    parts, start = [], 0
    for layer in [*(i for i, stride in enumerate(strides) if stride == 2), len(strides)]:
        if layer > start:
            parts.append(_size_label(start, layer, size))
        if layer == len(strides):
            break
        x = _MARGIN + layer * _PITCH
        parts.append(
            f'<path class="downsample" d="M{x} {_TOP - 12}V{floor + 8:g}" stroke="currentColor" '
            f'stroke-dasharray="3 3" opacity=".55"/>'
        )
        start, size = layer, strided(size, 2)
    return parts


def _size_label(start: int, stop: int, size: ImageSize) -> str:
    wide = stop - start > 1 or not isinstance(size, int)
    text = _TIMES.join(map(str, height_and_width(size))) if wide else str(size)
    x = _MARGIN + (start + stop) / 2 * _PITCH
    return (
        f'<text x="{x:g}" y="{_TOP - 8}" text-anchor="middle" font-size="9.5" fill="currentColor" opacity=".75">'
        f"{text}</text>"
    )


def _indices(layers: int, floor: float) -> list[str]:
    return [
        f'<text x="{_MARGIN + (layer + 0.5) * _PITCH:g}" y="{floor + 13:g}" text-anchor="middle" font-size="8.5" '
        f'fill="currentColor" opacity=".6">{layer}</text>'
        for layer in range(layers)
    ]


class _Sample(NamedTuple):
    """A block of the legend, what is written beside it, and the width of both."""

    block: BlockSpec
    text: str
    width: int


def _legend_block(kernel: int, *, expansion: int = 3, se: bool = False, kind: str = "inverted_residual") -> BlockSpec:
    return BlockSpec(
        kind=kind,
        in_channels=8,
        out_channels=8,
        kernel_size=kernel,
        hidden_channels=8 * expansion,
        se_channels=2 * expansion * se,
    )


def _legend(blocks: Iterable[BlockSpec]) -> tuple[_Sample, ...]:
    """The samples that explain drawings of these blocks; those of the paper's search space are always there."""
    blocks = [block for block in blocks if block.expands]
    kernels = sorted({3, 5, 7, *(block.kernel_size for block in blocks)})
    labels = [f"{kernel}{_TIMES}{kernel}" for kernel in kernels]
    samples = [_Sample(_legend_block(kernel), label, 66) for kernel, label in zip(kernels, labels, strict=True)]
    samples[-1] = _Sample(samples[-1].block, f"{labels[-1]} kernel", 116)
    kinds = sorted({block.kind for block in blocks} - {"inverted_residual"})
    samples += [_Sample(_legend_block(3, kind=kind), kind.split("_")[0], 82) for kind in kinds]
    return (
        *samples,
        _Sample(_legend_block(3, expansion=6), "expansion 6 (low: 3)", 168),
        _Sample(_legend_block(3, se=True), "squeeze-and-excite", 154),
        _Sample(BlockSpec(kind="identity", in_channels=8, out_channels=8), "identity", 92),
        _Sample(BlockSpec(kind="let", in_channels=8, out_channels=8), f"LET (1{_TIMES}1 conv)", 132),
    )


def _legend_width(legend: Sequence[_Sample]) -> int:
    return 2 * _MARGIN + sum(sample.width for sample in legend) + 96


def _legend_items(legend: Sequence[_Sample], *, y: float) -> str:
    parts, x = [], _MARGIN
    for block, text, width in legend:
        shape = _box(block, middle=y) if block.expands else _pass_on(block, middle=y)
        parts.append(f'<g transform="translate({x} 0)">{shape}{_legend_text(text, y=y)}</g>')
        x += width
    line = f'<path d="M13 {y - 20:g}V{y + 20:g}" stroke="currentColor" stroke-dasharray="3 3" opacity=".55"/>'
    return "".join(parts) + f'<g transform="translate({x} 0)">{line}{_legend_text("downsampling", y=y)}</g>'


def _legend_text(text: str, *, y: float) -> str:
    return f'<text x="{_PITCH + 4}" y="{y + 4:g}" font-size="11" fill="currentColor">{text}</text>'
