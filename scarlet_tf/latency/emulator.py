"""Emulation of other processors with QEMU: the instructions that an inference takes there, without such a device.

QEMU's user mode runs LiteRT as it is installed on an ARM64 machine, with the kernels that XNNPACK chooses for the
emulated processor. The number of instructions is deterministic to a few parts in ten thousand, so it shows in CI what a
change costs on phones. It is not a time: memory, caches, out-of-order execution and frequency are not emulated.

`scarlet_tf.latency.emulator_setup` makes the folder that holds QEMU and the ARM64 programs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scarlet_tf.choices import check_known
from scarlet_tf.files import expand_user, user_cache
from scarlet_tf.paths import no_such
from scarlet_tf.progress import progress

SET_UP = "python tools/benchmark_arm64.py --set_up"
LITERT = "ai-edge-litert"
VERSIONS = "versions.json"
PLUGIN = "count_instructions.so"

_HERE = Path(__file__).parent
PLUGIN_SOURCE = _HERE / "count_instructions.c"
COUNT_SCRIPT = _HERE / "emulated_count.py"


class EmulatorError(ValueError):
    """Error for an emulator that is not set up, or a file that cannot be run on it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmulatedCpu:
    """A processor that QEMU emulates.

    Attributes:
        machine: "aarch64" or "x86_64".
        model: QEMU's name of it, for its option -cpu.
        getpriority: number of the system call by which a guest marks a place; see count_instructions.c.
        part: ARM's part number in /proc/cpuinfo, by which XNNPACK recognises the microarchitecture.
        features: in /proc/cpuinfo, as Linux names them.
        description: one line for users.
    """

    machine: str
    model: str
    getpriority: int
    part: str = ""
    features: str = ""
    description: str


_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV8_2 = f"{_ARMV8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
_ARMV9 = f"{_ARMV8_2} jscvt fcma sha3 sha512 asimdfhm dit uscat ilrcpc flagm ssbs sb sve sve2 svei8mm i8mm bf16 bti"

CPUS: Mapping[str, EmulatedCpu] = {
    "cortex-a72": EmulatedCpu(
        machine="aarch64",
        model="cortex-a72",
        getpriority=141,
        part="0xd08",
        features=_ARMV8,
        description="ARMv8.0 without dot products: phones until about 2018, Raspberry Pi 4",
    ),
    "cortex-a76": EmulatedCpu(
        machine="aarch64",
        model="cortex-a76",
        getpriority=141,
        part="0xd0b",
        features=_ARMV8_2,
        description="ARMv8.2 with int8 dot products: phones since about 2019, Raspberry Pi 5",
    ),
    "armv9-i8mm": EmulatedCpu(
        machine="aarch64",
        model="max,sme=off,sve128=on",
        getpriority=141,
        part="0xd47",
        features=_ARMV9,
        description="ARMv9 with int8 matrix products (i8mm), as a Cortex-A710: phones since about 2022",
    ),
    "x86-avx2": EmulatedCpu(
        machine="x86_64",
        model="Haswell",
        getpriority=140,
        description="x86 with AVX2, without AVX-512 and VNNI: Intel's Haswell of 2013",
    ),
}


def emulator_folder() -> Path:
    """Return the folder of the emulator: $SCARLET_TF_ARM64, else arm64 in the project's folder in the user's cache."""
    chosen = os.environ.get("SCARLET_TF_ARM64")
    return expand_user(chosen) if chosen else user_cache() / "arm64"


def read_versions(folder: str | os.PathLike | None = None) -> dict[str, str]:
    """Return the versions of what a folder of the emulator holds, by name: "litert", "qemu", "python" and others.

    Args:
        folder: None for `emulator_folder()`.

    Raises:
        EmulatorError: if the emulator is not set up there.
    """
    path = Path(folder or emulator_folder()) / VERSIONS
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EmulatorError(f"no emulator in {path.parent}: run {SET_UP}") from None
    except (OSError, ValueError) as error:
        raise EmulatorError(f"{path} is damaged ({error}): run {SET_UP}") from error


def check_emulator() -> None:
    """Raise EmulatorError unless the emulator is set up, with the installed version of LiteRT and this plugin."""
    folder = emulator_folder()
    versions, installed = read_versions(folder), importlib.metadata.version(LITERT)
    if versions.get("litert") != installed:
        raise EmulatorError(
            f"{folder} has LiteRT {versions.get('litert')}, but {installed} is installed here: run {SET_UP}"
        )
    if versions.get("plugin") != plugin_version():
        raise EmulatorError(f"{folder} was made by another version of this package: run {SET_UP}")


def plugin_version() -> str:
    """Return a fingerprint of the plugin's source."""
    return hashlib.sha256(PLUGIN_SOURCE.read_bytes()).hexdigest()[:12]


def count_instructions(
    files: Sequence[str | os.PathLike | bytes],
    *,
    cpu: str = "cortex-a76",
    seed: int = 0,
    labels: Sequence[str] | None = None,
) -> list[int]:
    """Count the instructions of one inference of each .tflite file on an emulated processor.

    A file runs twice on one thread and one random input; the second run counts. All files run in one start of QEMU,
    which takes a few seconds. Some 5,000 instructions of each count are the call of the interpreter.

    Args:
        files: paths, or contents of files; an open batch size becomes 1.
        cpu: a name in `CPUS`.
        seed: of the random inputs, see `random_inputs` of `scarlet_tf.tflite.first_look_process`.
        labels: names of the files in messages; None for their paths, and "model 3" for the fourth file if that is given
            by its content.

    Returns:
        One count per file, in order.

    Raises:
        EmulatorError: if the emulator is not set up, or a file cannot be run; the message names the file.
        ValueError: for an unknown processor.
        FileNotFoundError: for a missing file.

    Example:
        >>> count_instructions(["a.tflite", "b.tflite"], cpu="cortex-a72")  # doctest: +SKIP
        [92068310, 73302518]
    """
    check_known("cpu", cpu, CPUS)
    labels = labels or [f"model {n}" if isinstance(file, bytes) else os.fspath(file) for n, file in enumerate(files)]
    for label, file in zip(labels, files, strict=True):
        if not isinstance(file, bytes) and not Path(file).is_file():
            raise FileNotFoundError(no_such(label))
    check_emulator()
    if not files:
        return []
    counts, start = [], None
    with tempfile.TemporaryDirectory() as folder, progress(None, "count", unit="file", total=len(files)) as bar:
        paths = [_as_path(file, Path(folder) / f"{n}.tflite") for n, file in enumerate(files)]
        try:
            for message in emulate(COUNT_SCRIPT, count_job(paths, seed=seed), cpu=cpu, plugin=PLUGIN):
                if "error" in message:
                    raise EmulatorError(message["error"])
                if start is None:
                    start = message["instructions"]
                else:
                    counts.append(message["instructions"] - start)
                    start = None
                    bar.update()
        except EmulatorError as error:
            reason = " ".join(str(error).split())
            raise EmulatorError(f"{labels[len(counts)]}: cannot be run on an emulated {cpu}: {reason}") from error
    return counts


def count_job(paths: Sequence[str], *, seed: int) -> dict:
    """Return the job of the script `COUNT_SCRIPT`, which marks one warm inference of every file."""
    first_look = _HERE.parent / "tflite" / "first_look_process.py"
    return {"files": list(paths), "first_look": os.fspath(first_look), "seed": seed}


def _as_path(file: str | os.PathLike | bytes, path: Path) -> str:
    """Return the absolute path of a file; content is written to `path`."""
    if isinstance(file, bytes):
        path.write_bytes(file)
        return os.fspath(path)
    return os.path.abspath(file)


def emulate(
    script: Path, job: dict, *, cpu: str, plugin: str | None = None, folder: Path | None = None
) -> Iterator[dict]:
    """Run a Python script on an emulated processor and yield the lines of JSON that it prints, as they come.

    Args:
        script: gets the path of a JSON file as its argument; it can import NumPy and LiteRT.
        job: content of that file.
        cpu: a name in `CPUS`.
        plugin: file name of a plugin of QEMU in the emulator's folder.
        folder: of the emulator; None for `emulator_folder()`.

    Raises:
        EmulatorError: if the script fails, with the last line that it wrote on standard error.
    """
    folder = Path(folder or emulator_folder())
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        command, environment = _command(folder, cpu, plugin=plugin)
        with (
            open(Path(work) / "errors.txt", "w+", errors="replace") as errors,
            subprocess.Popen(
                [*command, os.fspath(script), os.fspath(path)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            try:
                for line in process.stdout:
                    if line.startswith("{"):
                        yield json.loads(line)
            except BaseException:
                process.kill()
                raise
            if process.wait():
                errors.seek(0)
                raise EmulatorError(_why(process.returncode, errors.read()))


def _command(folder: Path, name: str, *, plugin: str | None) -> tuple[list[str], dict[str, str]]:
    """Return QEMU's command up to the script, and the environment."""
    cpu = CPUS[name]
    command = ["setpriv", "--pdeathsig=KILL"]  # a killed tool must not leave QEMU running
    command += [os.fspath(folder / "qemu" / "usr" / "bin" / f"qemu-{cpu.machine}"), "-cpu", cpu.model]
    if plugin:
        command += ["-plugin", f"{folder / plugin},getpriority={cpu.getpriority}"]
    environment = {
        "LD_LIBRARY_PATH": os.fspath(folder / "qemu" / "usr" / "lib" / "x86_64-linux-gnu"),  # for QEMU itself
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command += ["-U", "LD_LIBRARY_PATH"]
    if cpu.machine == "x86_64":  # this machine's own Python and LiteRT
        import ai_edge_litert
        import numpy

        homes = [os.fspath(Path(package.__path__[0]).parent) for package in (ai_edge_litert, numpy)]
        return [*command, sys.executable], environment | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(homes))}
    environment["PYTHONPATH"] = os.fspath(folder / "site")
    # Python would write its bytecode to this machine's /usr/lib: QEMU looks below the root only for existing files.
    environment["PYTHONPYCACHEPREFIX"] = os.fspath(folder / "bytecode")
    return [*command, "-L", os.fspath(folder / "cpus" / name), os.fspath(guest_python(folder))], environment


def guest_python(folder: Path) -> Path:
    """Return the ARM64 machine's Python; raise EmulatorError if there is none."""
    found = sorted((folder / "root" / "usr" / "bin").glob("python3.*[0-9]"))
    if not found:
        raise EmulatorError(f"{folder} has no Python for ARM64: run {SET_UP}")
    return found[0]


def _why(code: int, errors: str) -> str:
    """Return why QEMU ended with this exit code, in one line."""
    if code < 0:
        return f"it crashed ({signal.Signals(-code).name})"
    lines = [line for line in errors.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {code}"
