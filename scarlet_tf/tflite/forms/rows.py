"""Form of a depthwise convolution: a grouped convolution whose blocks are whole rows, or parts of rows."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.axis import Blocks, blocks_of, single, whole
from scarlet_tf.tflite.forms.form import Variant
from scarlet_tf.tflite.forms.grouped import (
    GROUPS,
    MOST_WEIGHTS,
    Chain,
    readable_window,
    replace_by_blocks,
    weight_count,
)
from scarlet_tf.tflite.graph import Graph

_LONGEST = 48  # columns of a row that is one block: its weights grow with the square
_SEGMENTS = (8, 16)  # columns of a part of a row
_WIDEST = 32  # outputs of a group of several channels: matrix kernels are not wider


class Rows:
    """Grouped convolution over rows: "rows" and "rows, groups of 2", or over parts of them: "rows of 8"."""

    def variants(self, graph: Graph, operator: schema.OperatorT) -> Iterator[Variant]:
        window = readable_window(graph, operator)
        if window is None:
            return
        rows = single(window.rows)
        candidates = []
        if window.columns.size <= _LONGEST:
            candidates.append(("rows", whole(window.columns)))
        for length in _SEGMENTS:
            if window.columns.out > length:
                candidates.append((f"rows of {length}", blocks_of(window.columns, block=length, tile=length)))
        for name, columns in candidates:
            for group in GROUPS:
                if window.channels % group or (group > 1 and group * columns.tile > _WIDEST):
                    continue
                if weight_count(window, rows, columns, group=group) > MOST_WEIGHTS:
                    continue
                apply = functools.partial(
                    replace_by_blocks,
                    blocks=(rows, columns),
                    group=group,
                    to_blocks=_to_blocks,
                    from_blocks=_from_blocks,
                )
                yield Variant(name=name if group == 1 else f"{name}, groups of {group}", apply=apply)


def _to_blocks(chain: Chain, x: int, rows: Blocks, columns: Blocks) -> int:
    _, height, _, channels = chain.shape(x)
    if columns.count == 1:
        x = chain.transpose(x, (0, 1, 3, 2))
    else:
        x = chain.reshape(x, (height * columns.count, columns.block, channels))
        x = chain.transpose(x, (0, 2, 1))
    return chain.reshape(x, (1, height, columns.count, channels * columns.block))


def _from_blocks(chain: Chain, x: int, rows: Blocks, columns: Blocks) -> int:
    _, height, tiles, outputs = chain.shape(x)
    channels = outputs // columns.tile
    if tiles == 1:
        x = chain.transpose(chain.reshape(x, (1, height, channels, columns.tile)), (0, 1, 3, 2))
    else:
        x = chain.transpose(chain.reshape(x, (height * tiles, channels, columns.tile)), (0, 2, 1))
        x = chain.reshape(x, (1, height, tiles * columns.tile, channels))
    return chain.crop(x, rows.axis.out, columns.axis.out)
