"""Script that QEMU runs for `scarlet_tf.latency.emulated_outputs`: one file on many inputs, one thread.

python emulated_run.py JOB.json   # {"file": PATH, "inputs": NPY, "outputs": NPY} -> JSON lines {"done": n}
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
interpreter = Interpreter(job["file"], num_threads=1)
interpreter.allocate_tensors()
(source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
outputs = []
for number, value in enumerate(np.load(job["inputs"])):
    interpreter.set_tensor(source["index"], value[np.newaxis])
    interpreter.invoke()
    outputs.append(interpreter.get_tensor(result["index"])[0].copy())
    print(json.dumps({"done": number + 1}), flush=True)
np.save(job["outputs"], np.stack(outputs))
