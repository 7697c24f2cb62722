"""Memory of the process that trains a supernet on a CPU: its tensors, and TensorFlow with its graphs and programs.

Does not import TensorFlow. The constants were measured on 2026-11-29 with TensorFlow 2.21 on Linux (x86-64), on spaces
of 3, 6 and 19 layers; docs/scale.md compares the predictions with measurements.
"""

from __future__ import annotations

from scarlet_tf.arch import SearchSpace
from scarlet_tf.arch.block import strided
from scarlet_tf.supernet.scale import FairStep

MIB = 2**20
IMPORTED = 690 * MIB  # Python, TensorFlow, Keras, and the graph of stem, tail and optimizer
BLOCK = 2.4 * MIB  # nodes of a run of a block in the step's graph
BLOCK_AGAIN = 1.9 * MIB  # nodes that run it again, with `recompute`
PART = 3.6 * MIB  # graphs and compiled programs of a part, forward and backward; parts of the same shape share them
PART_16_BITS = 0.5 * MIB  # what they take more in 16 bits
ALLOCATED = 1.125  # bytes that TensorFlow's allocator takes for a byte of tensors


def process_bytes(step: FairStep) -> float:
    """Return the peak resident bytes of a process that takes fair steps on a CPU, without the dataset's."""
    blocks = sum(not run.is_let for layer in step.layers for run in layer.runs)
    graphs = blocks * (BLOCK + BLOCK_AGAIN * step.recompute)
    programs = len(_parts(step.space)) * (PART + PART_16_BITS * (step.value_bytes == 2))
    return IMPORTED + graphs + programs + ALLOCATED * step.peak_bytes


def _parts(space: SearchSpace) -> set[tuple]:
    """Return what tells the parts of blocks (`blocks.py`) apart that are traced and compiled separately."""
    parts, width, size = set(), space.first_channels, strided(space.resolution, space.stem_stride)
    for choices, outputs, stride in zip(space.layer_choices, space.out_channels, space.strides, strict=True):
        after = strided(size, stride)
        for choice in choices:
            block = choice.block(width, out_channels=outputs, stride=stride, let=True)
            if block.kind == "let":
                parts.add(("let", size, width, outputs, stride))
                continue
            hidden = block.hidden_channels
            maps = {(size, hidden), (after, hidden), (after, outputs)}
            parts |= {("moments", *each) for each in maps} | {("norm", *each) for each in maps}
            parts |= {
                ("expand", block.kind, size, width, hidden),
                ("depthwise", block.kind, size, hidden, block.kernel_size, stride),
                ("project", after, hidden, block.has_se, outputs),
                ("project norm", after, outputs),
            }
        width, size = outputs, after
    return parts
