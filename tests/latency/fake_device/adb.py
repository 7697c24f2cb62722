"""Stands in for Android's adb client: the folder $FAKE_DEVICE is the device, its config.json says what goes wrong.

Keys of config.json: "devices", a list of [serial, state]; "free", bytes that may be pushed; "python", what runs the
stand-in for benchmark_model; "fault" and more for that, see there; "terminal", whether lines end as in a terminal.
Commands run in this machine's `sh`, with the device's paths put into the folder and the folder's bin first on PATH.

Imports little, since a test calls it dozens of times.
"""

import json
import os
import shlex
import sys

ROOT = os.environ["FAKE_DEVICE"]
with open(f"{ROOT}/config.json") as file:
    CONFIG = json.load(file)
SAYS = {
    "unauthorized": "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set",
    "offline": "error: device offline",
}


def vanished():
    return os.path.exists(f"{ROOT}/vanished")


def devices():
    return [] if vanished() else CONFIG["devices"]


def list_devices():
    print("* daemon not running; starting now at tcp:5037\n* daemon started successfully\nList of devices attached")
    for serial, state in devices():
        details = " product:shiba model:Pixel_8 device:shiba transport_id:1" if state == "device" else " transport_id:1"
        print(f"{serial:22} {state}{details}")
    print()
    return 0


def push(local, remote):
    with open(local, "rb") as file:
        content = file.read()
    target = place(remote)
    used = sum(entry.stat().st_size for entry in os.scandir(os.path.dirname(target)))
    if used + len(content) > CONFIG.get("free", 1 << 40):
        print(f"adb: error: failed to copy '{local}' to '{remote}': remote No space left on device", file=sys.stderr)
        print(f"{local}: 0 files pushed. 5.2 MB/s ({len(content)} bytes in 0.001s)")
        return 1
    if target.endswith("/benchmark_model"):
        stand_in = os.path.join(os.path.dirname(os.path.abspath(__file__)), "benchmark_model.py")
        content = f'#!/bin/sh\nexec {shlex.quote(CONFIG["python"])} -E -S {shlex.quote(stand_in)} "$@"\n'.encode()
    if CONFIG.get("fault") == "not_executable":
        content = b"#!/bin/sh\necho '/system/bin/sh: ./benchmark_model: not executable: 64-bit ELF file'\nexit 126\n"
    with open(target, "wb") as file:
        file.write(content)
    print(f"{local}: 1 file pushed, 0 skipped. 30.1 MB/s ({len(content)} bytes in 0.001s)")
    return 0


def shell(script):
    os.environ["PATH"] = f"{ROOT}/bin:{os.environ['PATH']}"
    printed = f"{ROOT}/printed.{os.getpid()}"
    with open(f"{printed}.sh", "w") as file:
        file.write(place(script))
    code = os.waitstatus_to_exitcode(os.system(f"sh {printed}.sh > {printed} 2>&1"))
    with open(printed) as file:
        output = file.read().replace(ROOT, "")
    os.remove(printed)
    os.remove(f"{printed}.sh")
    if vanished():  # in the middle of the command: no exit code comes
        print(output[: len(output) // 2])
        return 255
    sys.stdout.write(output.replace("\n", "\r\n") if CONFIG.get("terminal") else output)
    return code


def place(text):
    for folder in ("/data/local/tmp", "/sys/"):
        text = text.replace(folder, f"{ROOT}{folder}")
    return text


def main(arguments):
    if arguments == ["devices", "-l"]:
        return list_devices()
    _, serial, command, *rest = arguments
    state = dict(devices()).get(serial)
    if state != "device":
        print(SAYS.get(state, f"error: device '{serial}' not found"), file=sys.stderr)
        return 1
    return {"push": push, "shell": shell}[command](*rest)


sys.exit(main(sys.argv[1:]))
