"""A warning about unfinished supernets. Does not import TensorFlow, so that tools can print it at once."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from scarlet_tf.runs.checkpoints import CheckpointStore


def warn_if_unfinished(directory: str | os.PathLike) -> None:
    """Print a one-line warning to standard error if a supernet's newest checkpoint is not that of its last step.

    Prints nothing if the run directory is damaged; `load_supernet` reports that better.

    Args:
        directory: run directory of the supernet.
    """
    try:
        steps = int(json.loads((Path(directory) / "config.json").read_text(encoding="utf-8"))["steps"])
        newest = CheckpointStore(directory, kind="supernet", fingerprint=None).paths()[-1]
    except (OSError, ValueError, LookupError, TypeError):
        return
    step = int(newest.stem.removeprefix("checkpoint-"))
    if step < steps:
        print(
            f"{Path(sys.argv[0]).name}: warning: the supernet in {directory} is unfinished: step {step} of {steps}",
            file=sys.stderr,
        )
