"""What the command line of a tool is recorded as."""

import os
import subprocess
import sys

import pytest

from scarlet_tf.cli import load_tensorflow
from scarlet_tf.files import locked_folder

SCRIPT = """
from absl import flags
from scarlet_tf.cli import command_line, run
flags.DEFINE_string("output", None, "")
flags.DEFINE_string("constraints", "", "")
flags.DEFINE_list("names", [], "")
flags.DEFINE_multi_string("quantity", [], "")
flags.DEFINE_bool("quick", True, "")
flags.DEFINE_integer("seed", 0, "")
run(lambda: print(command_line(), command_line(without=["output"]), sep="\\n"))
"""


def test_command_line_is_what_was_given(tmp_path):
    script = tmp_path / "tools" / "search.py"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    given = ["--noquick", "--names=a,b", "--constraints", "madds<5, accuracy>0.4", "--output=/some/where"]
    given += ["--quantity=ms:a b.json", "--quantity=mj:c.json"]
    done = subprocess.run([sys.executable, "search.py", *given], cwd=script.parent, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "python tools/search.py --output=/some/where '--constraints=madds<5, accuracy>0.4' --names=a,b "
        "'--quantity=ms:a b.json' --quantity=mj:c.json --noquick",
        "python tools/search.py '--constraints=madds<5, accuracy>0.4' --names=a,b "
        "'--quantity=ms:a b.json' --quantity=mj:c.json --noquick",
    ]


def test_a_package_is_called_by_its_name(tmp_path):
    script = tmp_path / "experiments" / "trial" / "__main__.py"
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT)
    call = [sys.executable, "-m", "experiments.trial", "--seed=2"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["python -m experiments.trial --seed=2"] * 2
    refused = subprocess.run([*call, "--names", "a", "b"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.startswith("experiments.trial: unexpected argument 'b'")


def test_a_users_choice_of_kernels_stays(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    load_tensorflow()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_threads_are_set_where_the_user_has_not(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "")
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    load_tensorflow(threads={"inter": 2, "intra": 1})
    assert (os.environ["TF_NUM_INTEROP_THREADS"], os.environ["TF_NUM_INTRAOP_THREADS"]) == ("2", "3")


STOPPED = """
from absl import flags
from scarlet_tf.cli import run
from scarlet_tf.runs.interrupt import RunStopped
flags.DEFINE_string("output", None, "")
def main():
    raise STOP
run(main)
"""


@pytest.mark.parametrize(
    ("stop", "code", "line"),
    [
        ("KeyboardInterrupt", 130, "interrupted"),
        ("KeyboardInterrupt('r is saved up to step 4 of 9')", 130, "interrupted: r is saved up to step 4 of 9; GO ON"),
        ("RunStopped('r is saved up to step 5 of 9')", 143, "stopped: r is saved up to step 5 of 9; GO ON"),
    ],
)
def test_a_stopped_run_says_how_to_go_on(stop, code, line, tmp_path):
    script = tmp_path / "tools" / "train.py"
    script.parent.mkdir()
    script.write_text(STOPPED.replace("raise STOP", f"raise {stop}"))
    done = subprocess.run([sys.executable, script, "--output=a b"], capture_output=True, text=True)
    assert done.returncode == code and done.stdout == ""
    assert done.stderr == line.replace("GO ON", "to resume: python tools/train.py '--output=a b'") + "\n"


LOCKING = """
from scarlet_tf.cli import run
from scarlet_tf.files import locked_folder
def main():
    with locked_folder("run"):
        print("locked")
run(main)
"""


def test_a_folder_in_use_is_a_temporary_failure(tmp_path):
    """As a file server keeps the lock of a lost machine for a while: a supervisor starts the run again."""
    (tmp_path / "locking.py").write_text(LOCKING)

    def call():
        return subprocess.run([sys.executable, "locking.py"], cwd=tmp_path, capture_output=True, text=True)

    with locked_folder(tmp_path / "run"):
        refused = call()
    message = f"locking.py: run is in use by process {os.getpid()} on "
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (75, "", 1)
    assert refused.stderr.startswith(message)
    assert (call().returncode, call().stdout) == (0, "locked\n")


READING = """
import sys
import fsspec
from scarlet_tf import remote
from scarlet_tf.cli import run
from scarlet_tf.paths import as_path
class Failing(fsspec.AbstractFileSystem):
    protocol = "failing"
    def cat_file(self, path, **_):
        raise ERROR
fsspec.register_implementation("failing", Failing)
remote.PAUSES = (0.0,) * 4
run(lambda: as_path("failing://bucket/a").read_bytes())
"""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        ("TimeoutError('no answer')", 75, "TimeoutError: no answer (tried 5 times)"),
        ("RuntimeError('503')", 75, "RuntimeError: 503 (tried 5 times)"),
        ("FileNotFoundError('a')", 2, "No such file or directory"),
        ("PermissionError('403 Forbidden')", 2, "PermissionError: 403 Forbidden"),
        ("NotImplementedError('read only')", 2, "NotImplementedError: read only"),
    ],
)
def test_a_remote_file_system_that_fails_every_try_is_a_temporary_failure(error, code, line, tmp_path):
    script = tmp_path / "reading.py"
    script.write_text(READING.replace("ERROR", error))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"reading.py: failing://bucket/a: {line}\n"


MISSING = '''"""Makes things.

    python tools/make.py --output=a \\\\
        --input=b
"""
from absl import flags
from scarlet_tf.cli import run
flags.DEFINE_string("input", None, "Where from.", required=True)
flags.DEFINE_string("output", None, "Where to.", required=True)
flags.DEFINE_integer("count", 1, "How many.", lower_bound=1)
run(print)
'''


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ([], "--input and --output are required; for example: python tools/make.py --output=a --input=b"),
        (["--input=c"], "--output is required: Where to; for example: python tools/make.py --output=a --input=b"),
        (["--input=c", "--count=0"], "flag --count=0: 0 is not a positive integer"),
    ],
)
def test_what_is_missing_is_named_with_an_example(given, line, tmp_path):
    script = tmp_path / "make.py"
    script.write_text(MISSING)
    done = subprocess.run([sys.executable, script, *given], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"make.py: {line}") and len(done.stderr.splitlines()) == 1
