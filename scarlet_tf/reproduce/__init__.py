"""Experiments of the paper at small scale: Figures 1, 4 and 6."""

from scarlet_tf.reproduce.figure1 import Figure1Config, run_figure1
from scarlet_tf.reproduce.figure4 import run_figure4
from scarlet_tf.reproduce.figure6 import Figure6Config, run_figure6
from scarlet_tf.reproduce.results import write_figure1, write_figure4, write_figure6

__all__ = [
    "Figure1Config",
    "Figure6Config",
    "run_figure1",
    "run_figure4",
    "run_figure6",
    "write_figure1",
    "write_figure4",
    "write_figure6",
]
