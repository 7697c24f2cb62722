"""Whatever keeps a device from measuring: one line that says what, nothing left on the device, no file."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scarlet_tf.latency import AndroidError, AndroidSettings, measure_android
from scarlet_tf.latency.android_settings import parse_threads

TOOL = Path(__file__).parents[2] / "tools/benchmark_android.py"
QUICK = {"runs": 3, "warmup": 1, "rounds": 2, "cooldown": 0.0, "min_seconds": 0.0}


def refusal(device, models, binary, *, serial=None, adb=None, **settings):
    """The one line of the error, after which the device has to be clean."""
    with pytest.raises(AndroidError) as caught:
        measure_android(
            models, binary, settings=AndroidSettings(**QUICK | settings), serial=serial, adb=adb or device.adb
        )
    assert device.files == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_adb(device, models, binary):
    assert "no adb client 'adb_of_nowhere': install Android's platform tools" in refusal(
        device, models, binary, adb="adb_of_nowhere"
    )


@pytest.mark.parametrize(
    ("devices", "serial", "message"),
    [
        ([], None, "no Android device: `adb devices` lists none"),
        ([], "FAKE0001", "no Android device"),
        (
            [["FAKE0001", "device"], ["emulator-5554", "offline"]],
            None,
            "choose one with --serial: FAKE0001 (Pixel_8, device), emulator-5554 (model unknown, offline)",
        ),
        ([["FAKE0001", "device"], ["R5CT", "device"]], "R5CX", "unknown device 'R5CX'"),
        ([["FAKE0001", "device"], ["R5CT", "device"]], "R5CX", "nearest is 'R5CT'"),
        (
            [["FAKE0001", "unauthorized"]],
            None,
            "device FAKE0001 cannot be used (unauthorized): unlock it and allow USB debugging",
        ),
        ([["FAKE0001", "offline"]], None, "device FAKE0001 cannot be used (offline): reconnect it"),
        (
            [["FAKE0001", "no permissions (user in plugdev group; are your udev rules wrong?); see [http://x]"]],
            None,
            "device FAKE0001 cannot be used (no permissions): this user has no permission to open it",
        ),
        ([["FAKE0001", "recovery"]], None, "device FAKE0001 cannot be used (recovery): its state must be `device`"),
    ],
)
def test_devices_that_cannot_be_used(device, models, binary, devices, serial, message):
    device.set(devices=devices)
    assert message in refusal(device, models, binary, serial=serial)


def test_one_of_several_devices_by_its_serial(device, models, binary):
    device.set(devices=[["R5CT", "unauthorized"], ["FAKE0001", "device"]])
    settings = AndroidSettings(**QUICK)
    assert measure_android(models[:1], binary, settings=settings, serial="FAKE0001", adb=device.adb).latencies


def test_full_device(device, models, binary):
    device.set(free=100)  # the binary takes 64 bytes, a model 16
    message = refusal(device, models, binary, rounds=1)
    assert message == f"device FAKE0001 is full: {models[0]} needs {models[0].stat().st_size} bytes, free: 1.2M"


def test_binary_that_is_missing_or_none(device, models, binary, tmp_path):
    assert "android_aarch64_benchmark_model" in refusal(device, models, None)
    assert f"no such file: {tmp_path}/absent" in refusal(device, models, tmp_path / "absent")
    binary.write_bytes(b"<?xml version='1.0'?><Error>NoSuchKey</Error>")
    assert "is not an Android executable (it begins with b'<?xml versio')" in refusal(device, models, binary)


def test_binary_for_another_abi(device, models, binary):
    device.set_abis("armeabi-v7a,armeabi")
    message = refusal(device, models, binary)
    assert f"{binary} is built for arm64-v8a, but device FAKE0001 supports armeabi-v7a, armeabi" in message
    assert device.runs == []


def test_binary_that_the_device_cannot_execute(device, models, binary):
    device.set(fault="not_executable")
    assert refusal(device, models, binary) == (
        f"{models[0]}: the device cannot execute the binary: "
        "/system/bin/sh: ./benchmark_model: not executable: 64-bit ELF file"
    )


@pytest.mark.parametrize(
    ("fault", "delegate", "message"),
    [
        ("crash", None, "benchmark_model was killed by SIGSEGV; its last line: "),
        ("exit", None, "failed with exit code 3; its last line: 'INFO: Initialized session in 1.5ms.'"),
        (
            "refuse",
            None,
            "rejected the model (exit code 1): Node number 57 (BATCH_MATMUL) failed to prepare.; Failed to",
        ),
        ("garbage", None, "printed no timings; its last line: '<html><body>404 Not Found</body></html>'"),
        ("contradiction", None, "output is inconsistent: mean 5.0 ms in 'INFO: count=3"),
        ("failed_delegate", "gpu", "the GPU delegate was not used: it failed to apply: TfLiteGpuDelegate Init: MUL"),
        ("unsupported", "nnapi", "printed 'NNAPI acceleration is unsupported on this platform'"),
        (
            "not_used",
            "nnapi",
            "printed 'Though NNAPI delegate is explicitly applied, the model graph will not be executed",
        ),
        ("unknown_flag", "gpu", "this benchmark_model has no flag --use_gpu"),
        ("silent", "gpu", "benchmark_model did not report that it was applied"),
    ],
)
def test_failures_of_the_binary(device, models, binary, fault, delegate, message):
    device.set(fault=fault)
    said = refusal(device, models, binary, delegate=delegate)
    assert said.startswith(f"{models[0]}: ") and message in said
    assert len(device.runs) == 1


def test_run_that_hangs_is_killed(device, models, binary):
    device.set(fault="hang")
    start = time.monotonic()
    assert "a.tflite: benchmark_model ran for more than 1 s and was killed" in refusal(
        device, models, binary, timeout=1
    )
    assert time.monotonic() - start < 60  # it would sleep for 120 s
    assert _ends("benchmark_model.py", device)


def test_device_that_vanishes_is_named_with_what_is_left_on_it(device, models, binary):
    device.set(vanish_at=1, times_us={"model0.tflite": [5000], "model1.tflite": [5000]})
    with pytest.raises(AndroidError) as caught:
        measure_android(models, binary, settings=AndroidSettings(**QUICK), adb=device.adb)
    (left,) = device.files  # nobody can remove it
    assert str(caught.value) == (
        f"{models[1]}: device FAKE0001 was lost (now not connected); adb printed: nothing; "
        f"/data/local/tmp/{left} cannot be deleted from device FAKE0001"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threads": ()}, "at least one thread count"),
        ({"threads": (0,)}, "threads must be distinct integers >= 1, got 0"),
        ({"threads": (2, 2)}, "threads must be distinct integers >= 1, got 2"),
        ({"runs": 0}, "runs must be >= 1, got 0"),
        ({"warmup": -1}, "warmup must be >= 0, got -1"),
        ({"rounds": 0}, "rounds must be >= 1, got 0"),
        ({"cooldown": -0.5}, "cooldown must be >= 0, got -0.5"),
        ({"min_seconds": float("nan")}, "min_seconds must be >= 0, got nan"),
        ({"timeout": 0}, "timeout must be >= 1, got 0"),
        ({"cpu_mask": "cpu4"}, "cpu_mask must be hexadecimal and not 0, such as f0 for CPUs 4 to 7, got 'cpu4'"),
        ({"cpu_mask": "0"}, "cpu_mask must be hexadecimal"),
        ({"delegate": "gppu"}, "unknown delegate 'gppu': expected one of .*, nearest is 'gpu'"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(AndroidError, match=message):
        AndroidSettings(**settings)


def test_thread_counts_from_words():
    assert parse_threads(["1", " 4"]) == (1, 4)
    with pytest.raises(AndroidError, match="threads must be integers separated by commas, such as 1,4, got 'two'"):
        parse_threads(["1", "two"])


def test_mask_of_cpus_that_the_device_has_not(device, models, binary):
    assert "cpu_mask '300' names CPUs [8, 9], but the device has cpu0, cpu1" in refusal(
        device, models, binary, cpu_mask="300"
    )


def test_models_that_are_missing_or_none(device, models, binary, tmp_path):
    assert refusal(device, [], binary) == "no .tflite files to measure"
    models[1].write_bytes(b"PK\x03\x04 cut short")
    assert refusal(device, models, binary) == f"{models[1]} is not a .tflite file"
    with pytest.raises(FileNotFoundError, match=r"no such file: .*absent\.tflite"):
        measure_android([tmp_path / "absent.tflite"], binary, settings=AndroidSettings(), adb=device.adb)


def command(device, models, binary, output, *flags):
    return [
        sys.executable,
        str(TOOL),
        f"--models={','.join(map(str, models))}",
        f"--benchmark_binary={binary}",
        f"--adb={device.adb}",
        f"--output={output}",
        "--runs=3",
        "--min_secs=0",
        "--cooldown=0",
        *flags,
    ]


def test_tool(device, models, binary, tmp_path):
    device.set(times_us={"model0.tflite": [5000], "model1.tflite": [10000]})
    output = tmp_path / "result.json"
    call = command(device, models, binary, output, "--rounds=1", "--threads=1,2")
    result = subprocess.run(call, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    head, _, *rows = result.stdout.splitlines()
    assert head == "Pixel 8 (Google Tensor G3, Android 14), benchmark_model for arm64-v8a"
    assert [row.split()[1:] for row in rows[2:]] == [
        [threads, "10.00", "10.00", "10.00", "10.00", "10.00", "2.000", "8.8"] for threads in ("1", "2")
    ]
    assert output.is_file() and device.files == []


def test_tool_says_one_line_and_writes_nothing(device, models, binary, tmp_path):
    device.set(fault="refuse")
    output = tmp_path / "result.json"
    result = subprocess.run(command(device, models, binary, output), capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"benchmark_android.py: {models[0]}: benchmark_model rejected the model")
    assert not output.exists() and device.files == []


def test_ctrl_c_cleans_the_device(device, models, binary, tmp_path):
    device.set(fault="hang")
    output = tmp_path / "result.json"
    process = subprocess.Popen(
        command(device, models, binary, output),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_ctrl_c,
    )
    deadline = time.monotonic() + 30
    while not device.runs and time.monotonic() < deadline:
        time.sleep(0.05)
    assert device.files
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "interrupted"
    assert not output.exists() and device.files == []
    assert _ends("benchmark_model.py", device)


def _hear_ctrl_c():
    """A process started in a shell's background ignores it, and so would the tool."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _ends(program, device):
    """Whether no process `_running` is left within 10 s: a killed one ends when the system next gives it time."""
    deadline = time.monotonic() + 10
    while running := _running(program, device):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return not running


def _running(program, device):
    """Whether a process with this word in its command line belongs to the device."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if program in (entry / "cmdline").read_text() and str(device.root) in (entry / "environ").read_text():
                return True
        except (OSError, UnicodeDecodeError):
            continue
    return False
