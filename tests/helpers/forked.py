"""Scripts in processes of their own that need not import TensorFlow first: forks of a server which has.

The server (multiprocessing's) imports and never computes, so it has neither threads nor a runtime, and each fork makes
its own. A test of a first start, such as that `--help` loads no TensorFlow, needs a real one: subprocess.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["tensorflow", "keras", "tf_keras", "tensorflow_datasets", "ai_edge_litert.interpreter", "scarlet_tf.supernet"]
)


class ForkedProcess:
    """A running script, with subprocess.Popen's methods and text output.

    Args:
        command: script and arguments.
        cwd: where it runs; None: here.
        env: added to this process's environment.
    """

    def __init__(self, command, *, cwd=None, env=None) -> None:
        self.args = [str(part) for part in command]
        self._folder = tempfile.TemporaryDirectory(prefix="forked-")
        self._texts = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        environment = {**os.environ, **(env or {})}
        arguments = (self.args, str(cwd or os.getcwd()), environment, *map(str, self._texts))
        self._process = _SERVER.Process(target=_run, args=arguments)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit code; -N after signal N; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; return standard output and error. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.written()

    def written(self) -> tuple[str, str]:
        """Return what is in standard output and error so far."""
        return tuple(path.read_text(errors="replace") if path.exists() else "" for path in self._texts)


def run_forked(command, *, timeout: float | None = None, **_) -> subprocess.CompletedProcess:
    """Do for [python, script, ...] what subprocess.run does when it captures text."""
    process = ForkedProcess(command[1:])
    try:
        output, errors = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _run(command: list[str], cwd: str, environment: dict[str, str], *texts: str) -> None:
    for number, path in enumerate(texts, start=1):
        with open(path, "wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    sys.path.insert(0, str(Path(command[0]).parent))
    try:
        runpy.run_path(command[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out
