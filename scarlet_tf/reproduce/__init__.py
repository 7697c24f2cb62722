"""Experiments of the paper at small scale: Figure 1 and Figure 4."""

from scarlet_tf.reproduce.figure1 import Figure1Config, run_figure1
from scarlet_tf.reproduce.figure4 import run_figure4
from scarlet_tf.reproduce.results import write_figure1, write_figure4

__all__ = ["Figure1Config", "run_figure1", "run_figure4", "write_figure1", "write_figure4"]
