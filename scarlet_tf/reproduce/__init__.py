"""The paper's experiments at small scale: Figures 1, 4 and 6.

TensorFlow is loaded when a function that trains or writes is first used.
"""

from scarlet_tf.lazy import later
from scarlet_tf.reproduce.figure6 import Figure6Config, run_figure6
from scarlet_tf.reproduce.settings import ARMS, Figure1Config
from scarlet_tf.reproduce.spaces import SPACES

__getattr__ = later(
    __name__,
    {
        "scarlet_tf.reproduce.figure1": ("run_figure1",),
        "scarlet_tf.reproduce.figure4": ("run_figure4",),
        "scarlet_tf.reproduce.results": ("write_figure1", "write_figure4", "write_figure6"),
    },
)

__all__ = [
    "ARMS",
    "SPACES",
    "Figure1Config",
    "Figure6Config",
    "run_figure1",
    "run_figure4",
    "run_figure6",
    "write_figure1",
    "write_figure4",
    "write_figure6",
]
