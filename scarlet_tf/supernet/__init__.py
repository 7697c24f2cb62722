"""The supernet: 13 choices a layer with LET, trained with strict fairness, evaluated path by path."""

from scarlet_tf.supernet.evaluator import SupernetEvaluator
from scarlet_tf.supernet.mixed import InitConfig
from scarlet_tf.supernet.paths import PathEvaluator
from scarlet_tf.supernet.summary import report_paths
from scarlet_tf.supernet.supernet import Supernet
from scarlet_tf.supernet.trainer import SupernetConfig, TrainedSupernet, load_supernet, train_supernet

__all__ = [
    "InitConfig",
    "PathEvaluator",
    "Supernet",
    "SupernetConfig",
    "SupernetEvaluator",
    "TrainedSupernet",
    "load_supernet",
    "report_paths",
    "train_supernet",
]
