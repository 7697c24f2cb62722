"""Record the instructions of the networks in tests/helpers/arm64_networks.py, for the installed version of LiteRT.

    PYTHONPATH=.:tests/helpers python tests/golden/arm64_counts.py

Run it after a change that makes files cheaper, or one of LiteRT's version, and commit arm64_counts.json. It needs the
emulator: python tools/benchmark_arm64.py --set_up.
"""

import json
import tempfile
from pathlib import Path

from arm64_networks import CPU, RECORD, export_networks

from scarlet_tf.cli import load_tensorflow
from scarlet_tf.files import write_atomically
from scarlet_tf.latency import count_instructions
from scarlet_tf.latency.emulator import read_versions


def main() -> None:
    load_tensorflow()
    versions = read_versions()
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    before = recorded.get(versions["litert"], {}).get("counts", {})
    with tempfile.TemporaryDirectory() as folder:
        files = export_networks(Path(folder))
        counts = dict(zip(files, count_instructions([*files.values()], cpu=CPU), strict=True))
    for name, count in counts.items():
        print(f"{name:24} {before.get(name, 0) / 1e6:9.3f} -> {count / 1e6:9.3f} M instructions on {CPU}")
    recorded[versions["litert"]] = {"cpu": CPU, "qemu": versions["qemu"], "libc": versions["libc"], "counts": counts}
    write_atomically(RECORD, json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
