"""Form of a depthwise convolution: a matrix product of a channel's whole map."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.axis import Blocks, whole
from scarlet_tf.tflite.forms.form import Variant
from scarlet_tf.tflite.forms.grouped import Chain, readable_window, variants_by_group
from scarlet_tf.tflite.graph import Graph

_LARGEST = 150  # elements of a map: the weights grow with their square


class WholeMaps:
    """Grouped 1x1 convolution whose group is the whole map of a channel: "whole maps"."""

    def variants(self, graph: Graph, operator: schema.OperatorT) -> Iterator[Variant]:
        window = readable_window(graph, operator)
        if window is None or window.rows.size * window.columns.size > _LARGEST:
            return
        blocks = whole(window.rows), whole(window.columns)
        yield from variants_by_group(
            "whole maps", window, blocks, order=2, to_blocks=_to_blocks, from_blocks=_from_blocks
        )


def _to_blocks(chain: Chain, x: int, rows: Blocks, columns: Blocks, group: int) -> int:
    _, height, width, channels = chain.shape(x)
    return chain.reshape(chain.to_groups(x, (1,), (height, width), group), (1, 1, 1, channels * height * width))


def _from_blocks(chain: Chain, x: int, rows: Blocks, columns: Blocks, group: int) -> int:
    tile = rows.tile, columns.tile
    channels = chain.shape(x)[3] // math.prod(tile)
    return chain.reshape(chain.from_groups(x, (1,), tile, group), (1, *tile, channels))
