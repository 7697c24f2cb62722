"""Exact forms of operators: other operators that compute the same, of which the cheapest is chosen.

A form is a class in a file of its own, see `Form`; `FORMS` lists one instance of each.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.column_pairs import ColumnPairs
from scarlet_tf.tflite.forms.float_island import FloatActivation, FloatConvolution
from scarlet_tf.tflite.forms.float_weights import FloatWeights
from scarlet_tf.tflite.forms.form import PLAIN, Form, Variant
from scarlet_tf.tflite.forms.parts import Parts
from scarlet_tf.tflite.forms.rows import Rows
from scarlet_tf.tflite.forms.tiles import Tiles
from scarlet_tf.tflite.forms.whole_maps import WholeMaps
from scarlet_tf.tflite.graph import Graph

FORMS: list[Form] = [
    *(Rows(), WholeMaps(), Tiles(), Parts(), ColumnPairs()),
    *(FloatConvolution(), FloatActivation(), FloatWeights()),
]


def variants_of(graph: Graph, operator: schema.OperatorT) -> dict[str, Variant]:
    """Return the variants of an operator by name, without the plain one; {} if it has none.

    Example:
        >>> graph = Graph(Path("a.tflite").read_bytes())
        >>> [list(variants_of(graph, operator)) for operator in graph.of_kind(Op.DEPTHWISE_CONV_2D)]
    """
    return {variant.name: variant for form in FORMS for variant in form.variants(graph, operator)}


__all__ = ["FORMS", "PLAIN", "Form", "Variant", "variants_of"]
