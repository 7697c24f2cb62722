import datetime
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.machine import describe, machine, provenance

ROOT = Path(__file__).parents[2]


def test_records_what_times_depend_on():
    code = "import json; from benchmarks.machine import machine; print(json.dumps(machine()))"
    one = min(os.sched_getaffinity(0))
    command = ["taskset", "-c", str(one), sys.executable, "-c", code]
    threads = {"OMP_NUM_THREADS": "3", "TF_NUM_INTRAOP_THREADS": "2"}
    alone = os.environ | threads | {"HOME": "/nowhere", "USER": "nobody"}
    called = subprocess.run(command, env=alone, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(called.stdout)
    assert (found["affinity"], found["cores_used"]) == ([one], 1)
    assert found["threads"].items() >= threads.items()
    assert found["cores"] == os.cpu_count() and found["system"] == "Linux"
    assert "nowhere" not in str(found) and "nobody" not in str(found)


def test_provenance_is_json():
    made = provenance("python -m benchmarks.x", packages=("numpy",))
    assert json.loads(json.dumps(made)) == made
    assert made["command"] == "python -m benchmarks.x" and made["machine"] == machine()
    assert made["date"] == datetime.date.today().isoformat()
    assert made["versions"] == {"numpy": np.__version__} == {"numpy": importlib.metadata.version("numpy")}
    assert "versions" not in provenance("x")


def test_in_words():
    computer = {"cpu": "a CPU", "architecture": "x", "cpu_flags": ["avx", "fma"], "cores": 2, "cores_used": 1}
    before = {"date": "2026-01-01", "machine": computer}
    assert describe(before) == "2026-01-01; a CPU (x), 2 cores of which the run was given 1"
    assert describe({"date": "2026-01-01", "machine": {"cores": 2}}) == "2026-01-01; 2 cores"
    now = {
        "date": "2026-01-01",
        "machine": computer | {"affinity": [1], "threads": {"OMP_NUM_THREADS": "1"}},
        "versions": {"numpy": "2", "keras": "3"},
    }
    assert describe(now, cpu_flags=True) == (
        "2026-01-01; a CPU (x, avx, fma), 2 cores of which the run was given 1, OMP_NUM_THREADS=1; numpy 2, keras 3"
    )


def test_peak_memory_is_the_process_own():
    # The process that starts it has had 400 MiB more, which getrusage would tell.
    code = """if True:
        import subprocess, sys
        grown = b"x" * (400 << 20)
        code = "from benchmarks.machine import peak_resident_bytes as peak; own = peak(); grown = b'x' * (200 << 20);"
        subprocess.run([sys.executable, "-c", code + "print(own, peak())"], check=True)
    """
    called = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    own, grown = map(int, called.stdout.split())
    assert own < 300 << 20
    assert (190 << 20) < grown - own < (210 << 20)
