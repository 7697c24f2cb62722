"""Noticing a supernet whose training was stopped; without TensorFlow, so that tools can say so first."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from scarlet_tf.runs.checkpoints import CheckpointStore


def warn_if_unfinished(directory: str | os.PathLike) -> None:
    """One line on standard error where the newest checkpoint of a supernet's folder is not that of its last step.

    Silent where the folder is damaged: `load_supernet` says that better.
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
