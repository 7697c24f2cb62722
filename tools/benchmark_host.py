"""Latency of .tflite files on this machine: median, 10th and 90th percentile, and the ratio to the first file.

    python tools/benchmark_host.py --models=a.tflite,b.tflite --threads=2 --runs=100 --output=latency.json

The files run in turn, one after the other in every round, so a change of the machine's speed hits all of them.
"""

from absl import flags

from scarlet_tf.cli import run

_MODELS = flags.DEFINE_list("models", None, "The .tflite files, separated by commas.", required=True)
_THREADS = flags.DEFINE_integer("threads", 1, "Threads of each interpreter.", lower_bound=1)
_RUNS = flags.DEFINE_integer("runs", 50, "Rounds that count.", lower_bound=1)
_WARMUP = flags.DEFINE_integer("warmup", 5, "Rounds before them that do not.", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "A JSON file to write; default: none.")


def main() -> None:
    from scarlet_tf.latency import measure_host, save_json

    latencies = measure_host(_MODELS.value, threads=_THREADS.value, runs=_RUNS.value, warmup=_WARMUP.value)
    print(f"{'file':40} {'median ms':>10} {'p10':>8} {'p90':>8} {'ratio':>7}")
    for latency in latencies:
        print(
            f"{latency.path:40} {latency.median_ms:10.2f} {latency.p10_ms:8.2f} {latency.p90_ms:8.2f} "
            f"{latency.ratio:7.3f}"
        )
    if _OUTPUT.value:
        save_json(latencies, _OUTPUT.value)


if __name__ == "__main__":
    run(main)
