import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from scarlet_tf.latency import EmulatorError, EmulatorUnavailableError, check_emulator, set_up_emulator

FAKE = Path(__file__).parent / "fake_device"
PROPERTIES = """[ro.build.version.release]: [14]
[ro.product.cpu.abilist]: [{abis}]
[ro.product.model]: [Pixel 8]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor G3]
"""
THERMAL = """IsStatusOverride: false
Thermal Status: {status}
Cached temperatures:
	Temperature{{mValue=99.0, mType=0, mName=BIG, mStatus=3}}
HAL Ready: true
Current temperatures from HAL:
	Temperature{{mValue={celsius}, mType=0, mName=BIG, mStatus=0}}
	Temperature{{mValue=26.274, mType=3, mName=VIRTUAL-SKIN, mStatus=0}}
	Temperature{{mValue=4200.0, mType=6, mName=vbat, mStatus=0}}
Current cooling devices from HAL:
	CoolingDevice{{mValue=0, mType=5, mName=tpu_cooling}}
"""
PROGRAMS = {
    "getprop": 'cat "$FAKE_DEVICE/properties"',
    "taskset": 'CPU_MASK=$1; export CPU_MASK; shift; exec "$@"',
    "df": "printf 'Filesystem Size Used Avail Use%% Mounted on\\n/dev/block/dm-8 110G 109G 1.2M 100%% /data\\n'",
    # every call takes the next dump, the last one stays
    "dumpsys": """cd "$FAKE_DEVICE/thermal"; set -- *
        [ -f "$1" ] || { echo "Can't find service: thermalservice"; exit 0; }
        cat "$1"; [ $# -gt 1 ] && rm "$1"; exit 0""",
}


class FakeDevice:
    """A folder that fake_device/adb.py takes for a device; `adb` is the path of that client."""

    def __init__(self, root):
        self.root = root
        self.adb = str(root / "client/adb")
        for folder in ("bin", "client", "data/local/tmp", "thermal"):
            (root / folder).mkdir(parents=True)
        for name, script in PROGRAMS.items():
            (root / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
            (root / "bin" / name).chmod(0o755)
        client = shlex.join([sys.executable, "-E", "-S", str(FAKE / "adb.py")])
        Path(self.adb).write_text(f'#!/bin/sh\nexec {client} "$@"\n')
        Path(self.adb).chmod(0o755)
        for cpu in range(8):
            policy = root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
            policy.mkdir(parents=True)
            (policy / "scaling_governor").write_text("sched_pixel\n")
            (policy / "cpuinfo_max_freq").write_text("1704000\n" if cpu < 4 else "2367000\n")
        self.set_abis("arm64-v8a,armeabi-v7a")
        self.heat((0, 30.5), (0, 34.25))
        self._config = {}
        self.set(devices=[["FAKE0001", "device"]], python=sys.executable, times_us={"model0.tflite": [5000]})

    def set(self, **config):
        self._config |= config
        self._config = {key: value for key, value in self._config.items() if value is not None}
        (self.root / "config.json").write_text(json.dumps(self._config))

    def set_abis(self, abis):
        (self.root / "properties").write_text(PROPERTIES.format(abis=abis))

    def heat(self, *readings):
        """(status, degrees Celsius) of each look at the thermal service; none: the device has no such service."""
        for path in (self.root / "thermal").iterdir():
            path.unlink()
        for i, (status, celsius) in enumerate(readings):
            (self.root / "thermal" / str(i)).write_text(THERMAL.format(status=status, celsius=celsius))

    @property
    def files(self):
        """What is left in the device's folder for everyone."""
        return [path.name for path in (self.root / "data/local/tmp").iterdir()]

    @property
    def runs(self):
        """Flags and CPU mask of every run of benchmark_model."""
        log = self.root / "runs.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def device(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_DEVICE", str(tmp_path / "device"))
    return FakeDevice(tmp_path / "device")


@pytest.fixture
def binary(tmp_path):
    """The head of an ELF file for arm64: all that is looked at before a device runs it."""
    path = tmp_path / "android_aarch64_benchmark_model"
    path.write_bytes(
        b"\x7fELF\x02\x01\x01" + bytes(9) + (3).to_bytes(2, "little") + (183).to_bytes(2, "little") + bytes(44)
    )
    return path


@pytest.fixture
def models(tmp_path):
    """Two files with the head of a .tflite file, for stand-ins that do not run them."""
    paths = [tmp_path / "a.tflite", tmp_path / "b.tflite"]
    for path in paths:
        path.write_bytes(bytes(4) + b"TFL3" + path.name.encode())
    return paths


@pytest.fixture(scope="session")
def tflite_file(tmp_path_factory):
    """A small .tflite file: one depthwise convolution of a (1, 8, 8, 4) map."""
    import keras

    from scarlet_tf.export import export_tflite

    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, keras.layers.DepthwiseConv2D(3)(inputs))
    path = tmp_path_factory.mktemp("tflite") / "small.tflite"
    export_tflite(model, path)
    return path


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """(spec, plain file, rewritten file) of a small network with kernels of 3, 5 and 7, and squeeze-excite."""
    from scarlet_tf.arch import get_space
    from scarlet_tf.export import export_tflite
    from scarlet_tf.models import build
    from scarlet_tf.tflite import optimize_file

    spec = get_space("small").spec((11, 12, 2, 12, 5, 12), let=False)
    plain = tmp_path_factory.mktemp("network") / "plain.tflite"
    export_tflite(build(spec, classifier_activation="softmax"), plain, optimize_for="none")
    optimize_file(plain, plain.with_name("fast.tflite"))
    return spec, plain, plain.with_name("fast.tflite")


@pytest.fixture(scope="session")
def emulator():
    """Leaves a test out where the emulator is not set up; in CI it is set up here, if its packages can be had."""
    try:
        if os.environ.get("CI") == "true":
            set_up_emulator()
        check_emulator()
    except EmulatorUnavailableError as error:
        pytest.skip(str(error))
    except EmulatorError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
