"""How the weights of a supernet's blocks are stacked in variables. Does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

from scarlet_tf.arch import Choice, SearchSpace
from scarlet_tf.arch.block import BLOCK_KINDS, Weight


def groups_of(choices: Sequence[Choice]) -> dict[tuple[str, float], list[int]]:
    """Group the genes of the blocks whose weights are stacked, by kind and expansion ratio.

    A group is in the order of its slots: those without SE first. The identity is in none.
    """
    groups: dict[tuple[str, float], list[int]] = {}
    for gene, choice in enumerate(choices):
        if not choice.is_identity:
            groups.setdefault((choice.kind, choice.expansion), []).append(gene)
    return {key: sorted(genes, key=lambda gene: choices[gene].se) for key, genes in groups.items()}


def in_order(choices: Sequence[Choice]) -> tuple[int, ...]:
    """Return the genes of a layer in the order in which it runs them: those of the groups, then the identity."""
    grouped = [gene for genes in groups_of(choices).values() for gene in genes]
    return (*grouped, *(gene for gene, choice in enumerate(choices) if choice.is_identity))


def group_name(kind: str, expansion: float) -> str:
    """Return the name of a group in the names of its variables."""
    return f"{'' if kind == 'inverted_residual' else f'{kind}_'}e{expansion:g}"


def short_name(weight: Weight) -> str:
    """Return the last part of the name of a weight's variable, such as "expand" or "se_reduce_bias"."""
    layer, kind = weight.name.split("/")
    return layer.removesuffix("_conv") + ("_bias" if kind == "bias" else "")


def is_stacked(weight: Weight) -> bool:
    """Return whether a weight of several slots is one variable; a spatial kernel has one for each slot."""
    return len(weight.shape) <= 2


def variable_shapes(space: SearchSpace) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a supernet's variables by name; see `Supernet.variables`."""
    stem, first, tail = space.stem_channels, space.first_channels, space.tail_channels
    shapes = (
        _conv_bn("stem", (3, 3, 3, stem), stem)
        | _conv_bn("separable_depthwise", (3, 3, stem, 1), stem)
        | _conv_bn("separable_project", (1, 1, stem, first), first)
    )
    width = first
    for layer, (choices, outputs) in enumerate(zip(space.layer_choices, space.out_channels, strict=True)):
        shapes |= _layer_shapes(f"layer{layer:02d}", choices, width, outputs)
        width = outputs
    shapes |= _conv_bn("tail", (1, 1, width, tail), tail)
    return shapes | {"classifier/kernel": (tail, space.classes), "classifier/bias": (space.classes,)}


def _layer_shapes(name: str, choices: Sequence[Choice], inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    shapes, blocks = {}, 0
    for (kind, expansion), genes in groups_of(choices).items():
        prefix = f"{name}/{group_name(kind, expansion)}"
        stacks: dict[str, list[tuple[int, ...]]] = {}
        for slot, gene in enumerate(genes):
            block = choices[gene].block(inputs, out_channels=outputs, stride=1, let=True)
            for weight in BLOCK_KINDS[kind].weights(block):
                if is_stacked(weight):
                    stacks.setdefault(short_name(weight), []).append(weight.shape)
                else:
                    shapes[f"{prefix}/{short_name(weight)}{slot}"] = weight.shape
        shapes |= {f"{prefix}/{short}": (len(stack), *stack[0]) for short, stack in stacks.items()}
        for norm in BLOCK_KINDS[kind].norms:
            shapes |= _bn_shapes(f"{prefix}/{norm}", len(genes), block.hidden_channels)
        blocks += len(genes)
    if blocks:
        shapes |= _bn_shapes(f"{name}/project_bn", blocks, outputs)
    return shapes | ({f"{name}/let": (inputs, outputs)} if blocks < len(choices) else {})


def _conv_bn(name: str, kernel: tuple[int, ...], channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}_conv": kernel} | _bn_shapes(f"{name}_bn", 1, channels)


def _bn_shapes(name: str, slots: int, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/{field}": (slots, channels) for field in ("gamma", "beta", "moving_mean", "moving_variance")}
