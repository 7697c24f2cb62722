"""Form of a depthwise convolution: a grouped convolution over square tiles."""

from __future__ import annotations

from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.axis import Blocks, blocks_of
from scarlet_tf.tflite.forms.form import Variant
from scarlet_tf.tflite.forms.grouped import Chain, readable_window, variants_by_group
from scarlet_tf.tflite.graph import Graph

_SIDE = 4
_SMALLEST = 12  # rows or columns of outputs: below, zeros fill too much of the tiles


class Tiles:
    """Grouped convolution over blocks of 4x4 elements, for tiles of 4x4 outputs: "tiles of 4x4", also in groups."""

    def variants(self, graph: Graph, operator: schema.OperatorT) -> Iterator[Variant]:
        window = readable_window(graph, operator)
        if window is None or min(window.rows.out, window.columns.out) < _SMALLEST:
            return
        blocks = tuple(blocks_of(axis, block=_SIDE, tile=_SIDE) for axis in (window.rows, window.columns))
        yield from variants_by_group(
            "tiles of 4x4", window, blocks, order=0, to_blocks=_to_blocks, from_blocks=_from_blocks
        )


def _to_blocks(chain: Chain, x: int, rows: Blocks, columns: Blocks, group: int) -> int:
    channels = chain.shape(x)[3]
    x = chain.to_groups(chain.space_to_depth(x, _SIDE), (rows.count * columns.count,), (_SIDE**2,), group)
    return chain.reshape(x, (1, rows.count, columns.count, channels * _SIDE * _SIDE))


def _from_blocks(chain: Chain, x: int, rows: Blocks, columns: Blocks, group: int) -> int:
    channels = chain.shape(x)[3]
    x = chain.from_groups(x, (rows.tiles * columns.tiles,), (_SIDE**2,), group)
    x = chain.reshape(x, (1, rows.tiles, columns.tiles, channels))
    return chain.crop(chain.depth_to_space(x, _SIDE), rows.axis.out, columns.axis.out)
