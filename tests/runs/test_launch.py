"""Workers as Slurm and Kubernetes start them, and the launch files of the documentation."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver

from scarlet_tf.runs.cluster import TRY_AGAIN_EXIT_CODE
from scarlet_tf.runs.slurm import count_tasks, is_slurm_step, tf_config_of_slurm
from scarlet_tf.runs.strategy import check_strategy

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "docs" / "launch"
STEP = {
    "SLURM_STEP_NODELIST": "n[2,10],big",
    "SLURM_STEP_TASKS_PER_NODE": "2,1(x2)",
    "SLURM_PROCID": "2",
    "SLURM_JOB_ID": "20007",
}


def test_tasks_of_slurm_are_workers_in_its_order():
    config = json.loads(tf_config_of_slurm(STEP))
    assert config == {
        "cluster": {"worker": ["n2:20007", "n2:20008", "n10:20007", "big:20007"]},
        "task": {"type": "worker", "index": 2},
    }


def test_a_step_of_slurm_needs_no_tf_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name in STEP:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="needs the environment variable TF_CONFIG"):
        check_strategy("multi_worker")
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    check_strategy("multi_worker")
    assert is_slurm_step(os.environ) and not is_slurm_step({"SLURM_PROCID": "0"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "2,1"}, r"names 3 machines \(n\[2,10\],big\), and tasks of 2 \(2,1\)"),
        ({"SLURM_PROCID": "4"}, "task 4 is not among the 4 of"),
        ({"SLURM_STEP_NODELIST": "n[2"}, "[Ii]nvalid"),
    ],
)
def test_what_slurm_does_not_write(changes, message):
    with pytest.raises(ValueError, match=message):
        tf_config_of_slurm(STEP | changes)


def test_tasks_are_counted_as_tensorflow_does():
    for text in ("2,1(x2)", "1", "4(x3),2", "1(x10)"):
        expected = sum(slurm_cluster_resolver.expand_tasks_per_node(text))
        assert count_tasks({"SLURM_STEP_TASKS_PER_NODE": text}) == expected
    for text in ("", "2,", "2(3)", "two"):
        with pytest.raises(ValueError, match=r"SLURM_STEP_TASKS_PER_NODE must be such as '2,1\(x3\)', got "):
            count_tasks({"SLURM_STEP_TASKS_PER_NODE": text})


def test_a_worker_of_slurm_starts():
    """A step of one task, on this machine."""
    code = "from scarlet_tf.runs.strategy import make_strategy as m; print(m('multi_worker').cluster_resolver.task_id)"
    step = {"SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_PROCID": "0"}
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"} | step
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"]


def flags_exist(command: list[str]) -> None:
    """Check that a tool has the flags of a command."""
    tool = next(word for word in command if word.startswith("tools/"))
    source = (ROOT / tool).read_text(encoding="utf-8")
    flags = [word[2:].split("=")[0] for word in command[command.index(tool) + 1 :] if word.startswith("--")]
    assert len(flags) > 3 and all(f'"{flag}"' in source for flag in flags)


def test_the_slurm_file():
    path = LAUNCH / "slurm.sh"
    subprocess.run(["bash", "-n", path], check=True)
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = [line for line in text.splitlines() if line.strip().startswith("srun ")]
    flags_exist(shlex.split(line))
    options = [line for line in text.splitlines() if line.startswith("#SBATCH ")]
    assert {"#SBATCH --nodes=2", "#SBATCH --ntasks-per-node=1", "#SBATCH --requeue"} <= set(options)


@pytest.mark.parametrize(("codes", "ends_with"), [("75 137 0", 0), ("75 2", 2), ("143", 143), ("75 75 75 75 75 0", 75)])
def test_the_slurm_file_starts_again_after_a_lost_worker(codes, ends_with, tmp_path):
    """With an srun that returns one code after the other."""
    (tmp_path / "codes").write_text(codes.replace(" ", "\n") + "\n")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "set_up.sh").write_text("sleep() { :; }\n")
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/bash\ncode=$(head -n 1 codes); sed -i 1d codes; exit $code\n")
    srun.chmod(0o755)
    environment = os.environ | {"SLURM_SUBMIT_DIR": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", LAUNCH / "slurm.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == ends_with, done.stderr
    left = {"75 75 75 75 75 0": "0\n"}.get(codes, "")
    assert (tmp_path / "codes").read_text() == left


MACHINE = """
import json, os, sys
from pathlib import Path
config = json.loads(os.environ["TF_CONFIG"])
with open("starts", "a") as file:
    print(len(config["cluster"]["worker"]), config["task"]["index"], file=file)
if len(config["cluster"]["worker"]) == 1:
    sys.exit(int(sys.argv[1]))
Path("workers").write_text("second:9000\\n")
sys.exit(75)
"""


@pytest.mark.parametrize("code", [0, 2, 143])
def test_a_machine_starts_again_with_the_workers_that_are_left(code, tmp_path):
    (tmp_path / "workers").write_text("first:9000\nsecond:9000\n")
    (tmp_path / "train.py").write_text(MACHINE)
    environment = os.environ | {"WORKERS": "workers", "ME": "second:9000", "PAUSE": "0"}
    command = ["bash", LAUNCH / "machines.sh", sys.executable, "train.py", str(code)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, (tmp_path / "starts").read_text()) == (code, "2 1\n1 0\n"), done.stderr


@pytest.mark.parametrize(("long", "starts"), [(600, 3), (0, 5)])
def test_a_machine_gives_up_if_every_start_ends_soon(long, starts, tmp_path):
    (tmp_path / "workers").write_text("first:9000\n")
    # Ends with code 75 four times, and then with 2; with LONG=0 no start counts as short.
    script = f"echo >> starts; (($(wc -l < starts) < 5)) && exit {TRY_AGAIN_EXIT_CODE}; exit 2"
    environment = os.environ | {"WORKERS": "workers", "ME": "first:9000", "PAUSE": "0", "TRIES": "3", "LONG": str(long)}
    command = ["bash", LAUNCH / "machines.sh", "bash", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert len((tmp_path / "starts").read_text()) == starts
    gave_up = f"machines.sh: the last 3 starts ended soon, with code {TRY_AGAIN_EXIT_CODE} at the end; giving up\n"
    assert (done.returncode, done.stderr) == ((TRY_AGAIN_EXIT_CODE, gave_up) if long else (2, ""))


def test_a_machine_that_is_not_listed_ends(tmp_path):
    (tmp_path / "workers").write_text("first:9000\n")
    environment = os.environ | {"WORKERS": "workers", "ME": "first:900"}
    command = ["bash", LAUNCH / "machines.sh", "true"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "machines.sh: ME=first:900 is not a line of workers\n")


@pytest.mark.parametrize(
    ("given", "command", "line"),
    [
        ({}, ["true"], "set WORKERS to a file with HOST:PORT of every worker, a line each, as in: WORKERS="),
        ({"WORKERS": "workers"}, ["true"], "set ME to the line of workers that is this machine's, as in: WORKERS="),
        ({"WORKERS": "workers", "ME": ""}, ["true"], "set ME to the line of workers that is this machine's, as in: "),
        ({"WORKERS": "workers", "ME": "first:9000"}, [], "expected the command that trains, as in: WORKERS="),
        ({"WORKERS": "none", "ME": "first:9000"}, ["true"], "cannot read workers from WORKERS=none"),
    ],
)
def test_what_the_launch_file_needs_is_said_in_one_line(given, command, line, tmp_path):
    (tmp_path / "workers").write_text("first:9000\n")
    environment = {name: value for name, value in os.environ.items() if name not in ("WORKERS", "ME")} | given
    call = ["bash", LAUNCH / "machines.sh", *command]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith(f"machines.sh: {line}")


def test_the_kubernetes_file():
    yaml = pytest.importorskip("yaml")
    service, job = yaml.safe_load_all((LAUNCH / "kubernetes.yaml").read_text(encoding="utf-8"))
    pod = job["spec"]["template"]["spec"]
    rules = job["spec"]["podFailurePolicy"]["rules"]
    by_code = {rule["action"]: rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule}
    assert by_code == {"FailJob": [2]} and pod["restartPolicy"] == "Never"
    assert job["spec"]["backoffLimit"] >= 20  # of pods that end with code 75: they are made anew
    assert {rule["onExitCodes"]["containerName"] for rule in rules[1:]} == {pod["containers"][0]["name"]}
    assert (service["kind"], job["kind"], job["spec"]["completionMode"]) == ("Service", "Job", "Indexed")
    assert service["metadata"]["name"] == pod["subdomain"] and service["spec"]["selector"]["job-name"] == "supernet"
    (container,) = pod["containers"]
    bash, option, script = container["command"]
    printed = script.replace("exec python", "printf '%s\\n' \"$TF_CONFIG\"; exit; exec python")
    for index in range(job["spec"]["completions"]):
        environment = os.environ | {"JOB_COMPLETION_INDEX": str(index)}
        done = subprocess.run([bash, option, printed], env=environment, capture_output=True, text=True, check=True)
        config = json.loads(done.stdout)
        assert config["task"] == {"type": "worker", "index": index}
        assert len(config["cluster"]["worker"]) == job["spec"]["parallelism"] == job["spec"]["completions"]
        port = container["ports"][0]["containerPort"]
        assert config["cluster"]["worker"][index] == f"supernet-{index}.supernet:{port}"
    flags_exist(shlex.split(script.split("exec ")[1]))
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
