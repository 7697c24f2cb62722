"""Form of a depthwise convolution: a grouped convolution whose blocks are whole rows."""

from __future__ import annotations

from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.axis import Blocks, single, whole
from scarlet_tf.tflite.forms.form import Variant
from scarlet_tf.tflite.forms.grouped import Chain, readable_window, variants_by_group
from scarlet_tf.tflite.graph import Graph

_LONGEST = 48  # columns: the weights grow with their square


class Rows:
    """Grouped convolution over rows: "rows", "rows, groups of 2" and so on."""

    def variants(self, graph: Graph, operator: schema.OperatorT) -> Iterator[Variant]:
        window = readable_window(graph, operator)
        if window is None or window.columns.size > _LONGEST:
            return
        blocks = single(window.rows), whole(window.columns)
        yield from variants_by_group("rows", window, blocks, order=1, to_blocks=_to_blocks, from_blocks=_from_blocks)


def _to_blocks(chain: Chain, x: int, rows: Blocks, columns: Blocks, group: int) -> int:
    _, height, width, channels = chain.shape(x)
    return chain.reshape(chain.to_groups(x, (1, height), (width,), group), (1, height, 1, channels * width))


def _from_blocks(chain: Chain, x: int, rows: Blocks, columns: Blocks, group: int) -> int:
    _, height, _, outputs = chain.shape(x)
    x = chain.from_groups(x, (1, height), (columns.tile,), group)
    x = chain.reshape(x, (1, height, columns.tile, outputs // columns.tile))
    return chain.crop(x, rows.axis.out, columns.axis.out)
