"""Script that QEMU runs for `scarlet_tf.latency.emulator.count_instructions`: marks one warm invoke of every file.

    python emulated_count.py JOB.json   # {"files": [...], "first_look": PATH, "seed": 0} -> JSON lines

QEMU's plugin prints one line before that invoke and one after it; this script prints one for a file that cannot be run,
and stops. It imports nothing from the package, whose other dependencies an emulated machine lacks.
"""

import gc
import json
import os
import runpy
import sys
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter

job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
first_look = runpy.run_path(job["first_look"])


def mark() -> None:
    os.getpriority(os.PRIO_PROCESS, 0)  # the plugin listens; the answer does not matter


def open_and_warm(path: str) -> Interpreter:
    interpreter = Interpreter(path, num_threads=1)
    first_look["check_inputs"](interpreter)
    first_look["allocate"](interpreter)
    inputs = first_look["random_inputs"](interpreter, job["seed"])
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return interpreter


gc.disable()  # it would run at other places in other versions of the files
for path in job["files"]:
    try:
        interpreter = open_and_warm(path)
    except (ValueError, RuntimeError, MemoryError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        break
    mark()
    interpreter.invoke()
    mark()
    del interpreter
    gc.collect()
