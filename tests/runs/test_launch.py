"""Workers as Slurm and Kubernetes start them, and the launch files of the documentation."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from scarlet_tf.runs.slurm import is_slurm_step, tf_config_of_slurm
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
    flags_exist(shlex.split(line.split("&&")[0]))
    options = [line for line in text.splitlines() if line.startswith("#SBATCH ")]
    assert "#SBATCH --nodes=2" in options and "#SBATCH --ntasks-per-node=1" in options


def test_the_kubernetes_file():
    yaml = pytest.importorskip("yaml")
    service, job = yaml.safe_load_all((LAUNCH / "kubernetes.yaml").read_text(encoding="utf-8"))
    pod = job["spec"]["template"]["spec"]
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
