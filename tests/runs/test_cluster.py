"""The roll call of workers, and what the others do if one is lost. Each worker is a process without TensorFlow."""

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from clusters import worker_environments

from scarlet_tf.runs.cluster import TRY_AGAIN_EXIT_CODE, Cluster, WorkerLostError

# Says where it is, and goes on when its standard input does.
WORKER = """
import sys
import time
from scarlet_tf.runs import cluster as module
from scarlet_tf.runs.cluster import telling_others, join_cluster
module._GRACE = 2
cluster = join_cluster()
print("in contact", flush=True)
sys.stdin.readline()
cluster.gather()
cluster.meet()
cluster.watch(lambda index: str(index) not in sys.argv)
print("started", flush=True)
try:
    with telling_others():
        how = sys.stdin.readline()
        if how == "fail\\n":
            raise ValueError("a setting")
        if how == "stop\\n":
            raise SystemExit(143)
except ValueError:
    time.sleep(2)  # as TensorFlow takes to end
    sys.exit(2)
"""
LOST = "{}: start all workers again, or another number, to resume from what is saved"


def _hear_ctrl_c() -> None:
    """Let a worker hear SIGINT, which a shell turns off for what it runs in the background, such as these tests."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Worker:
    """A worker that does one thing after the other, when it is told to."""

    def __init__(self, environment, *silent) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, *silent], env=os.environ | environment, preexec_fn=_hear_ctrl_c, **pipes
        )
        self.environment = environment

    def go_on(self, how="end") -> None:
        self.process.stdin.write(f"{how}\n")
        self.process.stdin.flush()

    def said(self, line) -> bool:
        return self.process.stdout.readline() == f"{line}\n"

    def end(self) -> tuple[int, str]:
        """Return the exit code and standard error."""
        return self.process.wait(timeout=30), self.process.stderr.read()


@pytest.fixture
def started():
    """Function (environments, *arguments) -> their workers, in contact."""
    all_workers = []

    def started(environments, *arguments):
        workers = [Worker(environment, *arguments) for environment in environments]
        all_workers.extend(workers)
        assert all(worker.said("in contact") for worker in workers)
        return workers

    yield started
    for worker in all_workers:
        worker.process.kill()
        worker.process.communicate()


@pytest.fixture
def three(started):
    return started(worker_environments(3))


def start(workers) -> None:
    for worker in workers:
        worker.go_on()
    assert all(worker.said("started") for worker in workers)


def test_workers_that_end_one_after_the_other_are_not_lost(three):
    start(three)
    for worker in three:
        worker.go_on()
        code, errors = worker.end()
        assert (code, errors.count("lost")) == (0, 0)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_worker_that_is_killed_ends_the_others_with_one_line(three, lost):
    start(three)
    three[lost].process.kill()
    named = LOST.format(rf"\n-c: worker {lost} \(127\.0\.0\.1:\d+\) was lost")
    for worker in three[:lost] + three[lost + 1 :]:
        code, errors = worker.end()
        assert code == TRY_AGAIN_EXIT_CODE and re.search(named + "\n$", errors) and errors.count("lost") == 1


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_worker_that_is_killed_before_the_others_are_there_is_named_too(three, lost):
    three[lost].process.kill()
    named = LOST.format(rf"WorkerLostError: worker {lost} \(127\.0\.0\.1:\d+\) was lost")
    others = three[:lost] + three[lost + 1 :]
    for worker in others:
        worker.go_on()
    assert all(re.search(named + "\n$", worker.end()[1]) for worker in others)


def test_a_worker_that_is_terminated_is_lost(three):
    start(three)
    three[1].process.terminate()
    assert [three[index].end()[0] for index in (0, 2)] == [TRY_AGAIN_EXIT_CODE] * 2


@pytest.mark.slow
def test_a_worker_that_does_not_answer_is_lost(started):
    workers = started(worker_environments(3), "2")  # which the chief asks
    start(workers)
    ends = [worker.end() for worker in workers]
    assert all(code == TRY_AGAIN_EXIT_CODE and errors.count(": worker 2 ") == 1 for code, errors in ends)


@pytest.mark.parametrize("failing", [0, 1])
def test_a_worker_that_fails_ends_the_others_at_once_and_has_its_own_exit_code(three, failing):
    start(three)
    three[failing].go_on("fail")
    others = three[:failing] + three[failing + 1 :]
    for worker in others:
        code, errors = worker.end()
        assert code == TRY_AGAIN_EXIT_CODE and f"worker {failing} " in errors and errors.count("lost") == 1
    assert three[failing].process.poll() is None
    code, errors = three[failing].end()
    assert code == 2 and "lost" not in errors


def test_after_a_worker_is_stopped_the_others_have_time_to_stop_too(three):
    start(three)
    three[1].go_on("stop")
    assert three[1].end()[0] == 143
    three[0].go_on("stop")
    assert three[0].end()[0] == 143
    code, errors = three[2].end()  # which hears nothing of it but from them
    assert code == TRY_AGAIN_EXIT_CODE and errors.count("lost") == 1


def test_a_chief_that_waits_hears_ctrl_c(three):
    three[0].go_on()
    time.sleep(0.2)
    three[0].process.send_signal(signal.SIGINT)
    code, errors = three[0].end()
    assert code == -signal.SIGINT and "KeyboardInterrupt" in errors


def test_strangers_are_not_workers(started):
    """One that says something else, and one of a cluster with one worker more."""
    environments = worker_environments(3)
    settings = json.loads(environments[1]["TF_CONFIG"])
    host, port = settings["cluster"]["worker"][0].split(":")
    settings["cluster"]["worker"].append("127.0.0.1:1")
    (chief,) = started(environments[:1])
    chief.go_on()
    with socket.create_connection((host, int(port))) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: chief\r\n\r\n")
        (other,) = started([{"TF_CONFIG": json.dumps(settings)}])
        other.go_on()
        code, errors = other.end()
    assert code == 1 and "ValueError: TF_CONFIG of worker 1" in errors and "lists other workers" in errors
    more = started(environments[1:])
    for worker in more:
        worker.go_on()
    assert all(worker.said("started") for worker in (chief, *more))


def test_a_port_in_use_is_named():
    (environment, _) = worker_environments(2)
    settings = json.loads(environment["TF_CONFIG"])
    address = settings["cluster"]["worker"][0]
    with (
        socket.create_server(("", int(address.split(":")[1]))),
        pytest.raises(OSError, match=f"^cannot listen on {address}, worker 0 in TF_CONFIG: Address already in use$"),
    ):
        Cluster(settings)


def test_a_worker_that_does_not_start_is_not_waited_for_forever(monkeypatch):
    monkeypatch.setattr("scarlet_tf.runs.cluster._PATIENCE", 0.5)
    monkeypatch.setattr("scarlet_tf.runs.cluster._REMINDER", 0.1)
    chief, missing = (json.loads(each["TF_CONFIG"]) for each in worker_environments(2))
    with pytest.raises(WorkerLostError, match=r"did not start within 0\.5 s: worker 1 \(127"):
        Cluster(chief).gather()
    with pytest.raises(WorkerLostError, match=r"worker 0 \(127.* did not start within 0\.5 s: .*refused"):
        Cluster(missing)


PROGRESS = """
import io, sys
from scarlet_tf import progress
from scarlet_tf.runs.cluster import join_cluster
class Terminal(io.StringIO):
    def isatty(self):
        return True
progress.SECONDS = 0
cluster = join_cluster()
cluster.gather()
cluster.meet()
sys.stderr = terminal = Terminal()
list(progress.progress(range(2), "train", unit="step"))
print(repr(terminal.getvalue()))
"""


def test_workers_show_their_progress_in_lines():
    """Also on a terminal, which several may share."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    workers = [
        subprocess.Popen([sys.executable, "-c", PROGRESS], env=os.environ | environment, **pipes)
        for environment in worker_environments(2)
    ]
    for index, worker in enumerate(workers):
        output, errors = worker.communicate(timeout=30)
        assert worker.returncode == 0, errors
        lines = ast.literal_eval(output).splitlines()
        assert lines and all(line.startswith(f"worker {index}: train: ") for line in lines)
        assert r"\r" not in output
