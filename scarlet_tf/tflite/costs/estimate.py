"""Costs of an operator whose shape a table lacks, from the nearest shape that it has."""

from __future__ import annotations

import math
from collections.abc import Mapping

from scarlet_tf.tflite.costs.table import FormCosts
from scarlet_tf.tflite.forms import PLAIN, Variant
from scarlet_tf.tflite.forms.signature import Signature

SAME_SIZE, OTHER_SIZE = 1.1, 1.2  # margins by which other forms must win, for a map of the same size and of another


def estimate_costs(table: FormCosts, signature: Signature, variants: Mapping[str, Variant]) -> dict[str, float] | None:
    """Return the cost of an operator by form: as measured, or else estimated from the nearest measured shape.

    Costs grow with the number of elements, and in some forms those of an element with the rows or columns, see
    `Variant.order`. To be chosen only where they surely win, all forms but the plain one are taken to cost more than
    that by a margin, and no less an element on smaller maps.

    Args:
        table: the costs.
        signature: of the operator.
        variants: its other forms, by name.

    Returns:
        Costs in the table's unit, of the forms that are known; None if the table has no operator of this kind, type,
        kernel and stride.

    Example:
        >>> costs = estimate_costs(load_table("cortex-a76"), signature, variants_of(graph, operator))
    """
    if str(signature) in table.costs:
        return dict(table.costs[str(signature)])
    known = [Signature.parse(text) for text in table.costs]
    alike = [other for other in known if _kind(other) == _kind(signature)]
    if not alike:
        return None
    nearest = min(alike, key=lambda other: (_size_ratio(other, signature), _distance(other, signature), str(other)))
    scale, ratio = math.prod(signature.shape) / math.prod(nearest.shape), _size_ratio(nearest, signature)
    margin = SAME_SIZE if ratio == 1 else OTHER_SIZE
    costs = table.costs[str(nearest)]
    others = {name: margin * ratio**variant.order for name, variant in variants.items() if name in costs}
    return {name: costs[name] * scale * factor for name, factor in ({PLAIN: 1.0} | others).items()}


def _kind(signature: Signature) -> tuple:
    return signature.kind, signature.type, signature.kernel[:2], signature.stride, signature.dilation


def _size_ratio(a: Signature, b: Signature) -> float:
    """Return the larger ratio of the rows or columns of two maps, >= 1; 1 for what has none."""
    if not a.kernel:
        return 1.0
    return max(max(m, n) / min(m, n) for m, n in zip(a.shape[1:3], b.shape[1:3], strict=True))


def _distance(a: Signature, b: Signature) -> float:
    return abs(math.log(math.prod(a.shape) / math.prod(b.shape)))
