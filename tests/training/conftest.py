import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = Path(__file__).with_name("runs.py")


@pytest.fixture(scope="session")
def runs():
    """The module runs.py beside this."""
    spec = importlib.util.spec_from_file_location("scarlet_tf_test_runs", RUNS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pictures(runs, tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    runs.write_pictures(root)
    return root


@pytest.fixture
def start(tmp_path, pictures):
    """Starts `tiny_run` with the given arguments in a process of its own."""
    processes = []

    def started(output, *, environment=None, **arguments):
        arguments = {"root": str(pictures), "output": str(tmp_path / output)} | arguments
        command = [sys.executable, str(RUNS), json.dumps(arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, env=os.environ | (environment or {}), **pipes))
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.communicate()
