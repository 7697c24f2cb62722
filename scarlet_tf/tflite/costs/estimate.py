"""Costs of an operator whose shape a table lacks, from the nearest shape that it has."""

from __future__ import annotations

import math

from scarlet_tf.tflite.costs.table import CostTable
from scarlet_tf.tflite.forms import PLAIN
from scarlet_tf.tflite.forms.signature import Signature

MARGIN = 1.1  # by which other forms must win, for a map of the same size


def estimate_costs(table: CostTable, signature: Signature) -> dict[str, float] | None:
    """Return the cost of an operator by variant: as measured, or else estimated from the nearest measured shape.

    Costs grow with the number of elements. The cost of an element in some forms grows with the rows and columns too,
    by at most their product. So an estimate takes the costs of all forms but the plain one as higher by `MARGIN`, and
    by the square of the ratio of the sizes: it chooses another form only where that surely wins.

    Returns:
        Costs in the table's unit; None if the table has no operator of this kind, type, kernel and stride.

    Example:
        >>> costs = estimate_costs(load_table("cortex-a76"), signature)
    """
    if str(signature) in table.costs:
        return dict(table.costs[str(signature)])
    known = [Signature.parse(text) for text in table.costs]
    alike = [other for other in known if _kind(other) == _kind(signature)]
    if not alike:
        return None
    nearest = min(alike, key=lambda other: (_size_ratio(other, signature), _distance(other, signature), str(other)))
    scale = math.prod(signature.shape) / math.prod(nearest.shape)
    doubt = MARGIN * _size_ratio(nearest, signature) ** 2
    costs = table.costs[str(nearest)]
    return {name: cost * scale * (1.0 if name == PLAIN else doubt) for name, cost in costs.items()}


def _kind(signature: Signature) -> tuple:
    return signature.kind, signature.type, signature.kernel[:2], signature.stride, signature.dilation


def _size_ratio(a: Signature, b: Signature) -> float:
    """Return the larger ratio of the rows or columns of two maps, >= 1; 1 for what has none."""
    if not a.kernel:
        return 1.0
    return max(max(m, n) / min(m, n) for m, n in zip(a.shape[1:3], b.shape[1:3], strict=True))


def _distance(a: Signature, b: Signature) -> float:
    return abs(math.log(math.prod(a.shape) / math.prod(b.shape)))
