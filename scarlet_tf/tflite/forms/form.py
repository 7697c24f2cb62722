"""What a form of an operator is: a class that yields variants, each a way to replace the operator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Protocol

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.graph import Graph

PLAIN = "plain"  # name of the operator as it is


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to compute an operator.

    Attributes:
        name: the same for all shapes, such as "rows, groups of 2"; cost tables have it.
        apply: replaces the operator in the graph. The graph is pruned afterwards.
        order: power of a map's rows or columns with which the cost of an element grows: 0 if it does not.
        rounds_anew: whether an int8 result is rounded at other points than in the plain operator, or int8 weights are
            used in another way.
    """

    name: str
    apply: Callable[[Graph, schema.OperatorT], None]
    order: int = 0
    rounds_anew: bool = False


class Form(Protocol):
    """An exact form of an operator. "Exact" is up to rounding; forms that keep every bit say so."""

    def variants(self, graph: Graph, operator: schema.OperatorT) -> Iterable[Variant]:
        """Yield the variants of an operator, which may take in a PAD in front; none where the form does not apply.

        Does not change the graph.
        """
        ...
