"""Measure the latency of .tflite files on this machine: median, 10th and 90th percentile, ratio to the first file.

    python tools/benchmark_host.py --models=a.tflite,b.tflite --threads=2 --runs=100 --output=latency.json
    python tools/benchmark_host.py --models=a.tflite --op_profile

Every round runs each file once, so a change in the machine's speed affects all files alike. A round ends with a float32
matrix product in NumPy's BLAS on the same number of threads. Utilisation is a file's multiply-adds per second divided
by the product's: how much of the cores' float32 throughput the file uses.

Inputs are random; a variable batch size becomes 1. If a file cannot be run, an error line names it, the others are
still measured, and the exit code is 2.

--op_profile cuts every operator out of its file and times it as a model of its own. The sum of these times differs from
the latency of the whole file: there, inputs are in caches, and a PAD or an activation is done by the convolution next
to it.
"""

from absl import flags

from scarlet_tf.cli import fail, run

_MODELS = flags.DEFINE_list("models", None, "The .tflite files, separated by commas.", required=True)
_THREADS = flags.DEFINE_integer("threads", 1, "Threads of each interpreter.", lower_bound=1)
_RUNS = flags.DEFINE_integer("runs", 50, "Number of measured rounds.", lower_bound=1)
_WARMUP = flags.DEFINE_integer("warmup", 5, "Number of warm-up rounds, which are not measured.", lower_bound=0)
_OP_PROFILE = flags.DEFINE_boolean("op_profile", False, "Also time every operator of each file on its own.")
_SLOWEST = flags.DEFINE_integer("slowest", 10, "Number of slowest operators that --op_profile lists.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write, with every round; default: none.")


def main() -> None:
    import dataclasses
    from pathlib import Path

    from scarlet_tf.files import check_output_file
    from scarlet_tf.latency import find_failures, measure_host, save_json
    from scarlet_tf.tflite import TFLiteFileError
    from scarlet_tf.tflite.profile import profile_operators

    if flags.FLAGS["slowest"].present and not _OP_PROFILE.value:
        raise ValueError("--slowest needs --op_profile, which prints the slowest operators")
    if _OUTPUT.value:
        check_output_file(_OUTPUT.value)
    counts = {"threads": _THREADS.value, "runs": _RUNS.value, "warmup": _WARMUP.value}
    failures = find_failures(_MODELS.value)
    paths, profiles = [path for path in _MODELS.value if path not in failures], {}
    for path in paths if _OP_PROFILE.value else ():
        try:
            profiles[path] = profile_operators(Path(path).read_bytes(), label=path, **counts)
        except TFLiteFileError as error:
            failures[path] = str(error)
    latencies = measure_host(paths, **counts) if paths else []
    if latencies:
        print_latencies(latencies)
    for latency in latencies:
        if latency.path in profiles:
            print_profile(latency, profiles[latency.path])
    if _OUTPUT.value and latencies:
        found = {path: dataclasses.asdict(profile) for path, profile in profiles.items()}
        save_json(latencies, _OUTPUT.value, profiles=found, failures=failures)
    if failures:
        fail(*failures.values())


def print_latencies(latencies) -> None:
    print(
        f"{'file':40} {'median ms':>10} {'p10':>8} {'p90':>8} {'ratio':>7} {'partitions':>10} {'M MAdds':>9} "
        f"{'utilisation':>11}"
    )
    for latency in latencies:
        print(
            f"{latency.path:40} {latency.median_ms:10.2f} {latency.p10_ms:8.2f} {latency.p90_ms:8.2f} "
            f"{latency.ratio:7.3f} {latency.partitions:10} {latency.madds / 1e6:9.2f} {latency.utilisation:11.3f}"
        )
    print(f"matrix product: {latencies[0].sgemm_gmadds:.1f} G multiply-adds per second, threads {latencies[0].threads}")


def print_profile(latency, profile) -> None:
    print(f"\n{latency.path}: operators one by one {profile.sum_ms:.2f} ms, whole model {latency.median_ms:.2f} ms")
    print(f"{'kind':24} {'count':>5} {'ms':>9} {'share':>6} {'M MAdds':>9}")
    for kind in profile.kinds:
        print(f"{kind.kind:24} {kind.count:5} {kind.ms:9.3f} {kind.share:6.1%} {kind.madds / 1e6:9.2f}")
    print(f"{'slowest':24} {'ms':>9} {'M MAdds':>9} {'GMAdd/s':>8}  operands -> result")
    for operator in profile.slowest(_SLOWEST.value):
        shapes = ", ".join("x".join(map(str, shape)) or "()" for shape in operator.inputs[:2])
        print(
            f"{operator.kind:24} {operator.median_ms:9.3f} {operator.madds / 1e6:9.2f} {operator.gmadds:8.2f}  "
            f"{shapes} -> {'x'.join(map(str, operator.output))}"
        )


if __name__ == "__main__":
    run(main)
