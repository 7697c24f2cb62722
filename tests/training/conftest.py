import importlib.util
import json
from pathlib import Path

import pytest
from forked import ForkedProcess

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
        processes.append(ForkedProcess([RUNS, json.dumps(arguments)], env=environment))
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.communicate()
