"""LET supernets: the weights of all choices, training with strict fairness, and evaluation of single paths.

TensorFlow is imported on first access to one of the names.
"""

from scarlet_tf.lazy import later

__getattr__ = later(
    __name__,
    {
        "scarlet_tf.supernet.evaluator": ("SupernetEvaluator", "report_paths"),
        "scarlet_tf.supernet.paths": ("PathEvaluator",),
        "scarlet_tf.supernet.supernet": ("Supernet",),
        "scarlet_tf.supernet.supernet_config": ("InitConfig", "SupernetConfig"),
        "scarlet_tf.supernet.supernet_trainer": (
            "TrainedSupernet",
            "load_supernet",
            "train_supernet",
        ),
    },
)

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
