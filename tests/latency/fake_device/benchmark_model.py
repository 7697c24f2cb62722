"""Stands in for LiteRT's benchmark_model: prints one of its forms, with times that it measures or that it is given.

Keys of the device's config.json: "form", one of "tensorflow_1", "tensorflow_2", "percentiles", "litert"; "times_us",
by the model's name a list with one time a run, for the last over again; without it the file really runs, in the LiteRT
interpreter with XNNPACK; "fault", what goes wrong, see `fail`; "vanish_at", the run in which the device is gone.
"""

import json
import os
import signal
import sys
import time

ROOT = os.environ["FAKE_DEVICE"]
with open(f"{ROOT}/config.json") as file:
    CONFIG = json.load(file)
FLAGS = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
FORM = CONFIG.get("form", "percentiles")
MARK = "" if FORM.startswith("tensorflow") else "INFO: "
DELEGATES = {"use_gpu": "GPU", "use_nnapi": "NNAPI", "use_xnnpack": "XNNPACK"}
KERNELS = {"GPU": "TfLiteGpuDelegateV2", "NNAPI": "TfLiteNnapiDelegate", "XNNPACK": "TfLiteXNNPackDelegate"}


def say(line):
    print(f"{MARK}{line}", flush=True)


def fail(fault, delegate):
    if fault == "crash":
        say("Initialized session in 1.5ms.")
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "exit":
        say("Initialized session in 1.5ms.")
        sys.exit(3)
    if fault == "hang":
        time.sleep(120)
    if fault == "refuse":
        print("ERROR: Node number 57 (BATCH_MATMUL) failed to prepare.\nERROR: Failed to allocate tensors!")
        print("ERROR: Benchmarking failed.")
        sys.exit(1)
    if fault == "failed_delegate":
        print("ERROR: TfLiteGpuDelegate Init: MUL: cannot be reduced to linear.")
        print(f"ERROR: Failed to apply {delegate} delegate.\nERROR: Benchmarking failed.")
        sys.exit(1)
    if fault == "garbage":
        print("<html><body>404 Not Found</body></html>")
        sys.exit(0)


def delegate_lines(delegate, fault):
    if delegate is None or fault == "silent":
        say("Created TensorFlow Lite XNNPACK delegate for CPU.")
    elif fault == "unsupported":
        print(f"WARN: {delegate} acceleration is unsupported on this platform.")
    elif fault == "unknown_flag":
        print(f"WARN: Unconsumed cmdline flags: --use_{delegate.lower()}=true")
    elif fault == "not_used":
        say(f"Though {delegate} delegate is explicitly applied, the model graph will not be executed by the delegate.")
    elif fault == "partial":
        print(
            f"VERBOSE: Replacing 54 out of 559 node(s) with delegate ({KERNELS[delegate]}) node, yielding 3 partitions"
        )
        if FORM != "litert":
            say(
                f"Explicitly applied {delegate} delegate, and the model graph will be partially executed by the "
                "delegate w/ 2 delegate kernels."
            )
    else:
        print(f"VERBOSE: Replacing 9 out of 9 node(s) with delegate ({KERNELS[delegate]}) node, yielding 1 partitions")
        say(f"Explicitly applied {delegate} delegate, and the model graph will be completely executed by the delegate.")


def given_times(runs):
    series = CONFIG["times_us"][FLAGS["graph"]]
    return [series[min(runs, len(series) - 1)]] * int(FLAGS["num_runs"])


def measured_times(least, least_seconds):
    """Times of the interpreter's calls in whole microseconds, as many and for as long as the flags say."""
    start = time.perf_counter()
    times = []
    while len(times) < least or time.perf_counter() - start < least_seconds:
        before = time.perf_counter_ns()
        INTERPRETER.invoke()
        times.append(max(1, (time.perf_counter_ns() - before) // 1000))
    return times


def statistics_line(times):
    ordered = sorted(times)
    percentiles = (
        ""
        if MARK == ""
        else " ".join(
            f" {name}={ordered[int(share * (len(ordered) - 1))]}"
            for name, share in (("p5", 0.05), ("median", 0.5), ("p95", 0.95))
        )
    )
    if len(set(times)) == 1:
        same = "(all same)" if len(times) > 1 else ""
        say(f"count={len(times)} curr={times[-1]}{same}{percentiles}\n")
        return
    deviation = average([(value - average(times)) ** 2 for value in times]) ** 0.5
    say(
        f"count={len(times)} first={times[0]} curr={times[-1]} min={ordered[0]} max={ordered[-1]} "
        f"avg={average(times):g} std={deviation:.0f}{percentiles}\n"
    )


def average(times):
    return sum(times) / len(times)


def summary(warmup, times):
    mean, warm = average(times), average(warmup)
    if CONFIG.get("fault") == "contradiction":
        mean *= 2
    peak = "report_peak_memory_footprint" in FLAGS
    if FORM == "tensorflow_1":
        say(f"Average inference timings in us: Warmup: {warm:g}, Init: 1500, no stats: {mean:g}")
    elif FORM == "litert":
        head = "INFO: [benchmark_litert_model.h:94]"
        print("INFO: [benchmark_litert_model.h:81] \n========== BENCHMARK RESULTS ==========")
        print(f"{head} Model initialization: 1.50 ms")
        print(f"{head} Warmup (first):       {warmup[0] / 1e3:.2f} ms")
        print(f"{head} Warmup (avg):         {warm / 1e3:.2f} ms ({len(warmup)} runs)")
        print(f"{head} Inference (avg):      {mean / 1e3:.2f} ms ({len(times)} runs)")
        print(f"{head} Init footprint:       4.50 MB\n{head} Overall footprint:    6.25 MB")
        print(f"{head} Peak memory:          8.75 MB" if peak else f"{head} Peak memory usage not available.")
    else:
        say(
            f"Inference timings in us: Init: 1500, First inference: {warmup[0]}, Warmup (avg): {warm:g}, "
            f"Inference (avg): {mean:g}"
        )
        say("Memory footprint delta from the start of the tool (MB): init=4.5 overall=6.25")
        if peak:
            say("Overall peak memory footprint (MB) via periodic monitoring: 8.75")


def op_profile():
    start = FORM == "tensorflow_2"
    names = ["[node type]", *(["[start]"] if start else []), "[first]", "[avg ms]", "[%]", "[cdf%]", "[mem KB]"]
    print("Operator-wise Profiling Info for Regular Benchmark Runs:" if FORM != "litert" else "")
    print("============================== Run Order ==============================")
    print("\t".join(["", *names, "[times called]", "[Name]"]))
    for i, (kind, share, total) in enumerate((("DEPTHWISE_CONV_2D", 75, 75), ("SOFTMAX", 25, 100))):
        begin = ["0.000"] if start else []
        print(
            "\t".join(["", kind, *begin, "0.020", "0.015", f"{share:.3f}%", f"{total:.3f}%", "0.000", "1", f"[op]:{i}"])
        )
    print("\nNumber of nodes executed: 2\n")


def main():
    global INTERPRETER
    with open(f"{ROOT}/runs.jsonl", "a+") as file:
        file.seek(0)
        runs = [json.loads(line) for line in file]
        file.write(json.dumps({"flags": FLAGS, "cpu_mask": os.environ.get("CPU_MASK")}) + "\n")
    fault = CONFIG.get("fault")
    delegate = next((name for flag, name in DELEGATES.items() if FLAGS.get(flag) == "true"), None)
    say("STARTING!")
    if len(runs) == CONFIG.get("vanish_at"):
        open(f"{ROOT}/vanished", "w").close()
        sys.exit(1)
    fail(fault, delegate)
    delegate_lines(delegate, fault)
    seconds = float(FLAGS["min_secs"])
    if "times_us" in CONFIG:
        same = [run for run in runs if run["flags"]["graph"] == FLAGS["graph"]]
        warmup = times = given_times(len(same))
    else:
        import site

        site.main()  # the calls with given times do without what it costs
        from ai_edge_litert.interpreter import Interpreter

        INTERPRETER = Interpreter(FLAGS["graph"], num_threads=int(FLAGS["num_threads"]))
        INTERPRETER.allocate_tensors()
        warmup = measured_times(int(FLAGS["warmup_runs"]), seconds / 2)
        times = measured_times(int(FLAGS["num_runs"]), seconds)
    say(f"Running benchmark for at least {FLAGS['warmup_runs']} iterations and at least {seconds / 2:g} seconds")
    statistics_line(warmup)
    say(f"Running benchmark for at least {FLAGS['num_runs']} iterations and at least {seconds:g} seconds")
    statistics_line(times)
    summary(warmup, times)
    if FLAGS.get("use_profiler" if FORM == "litert" else "enable_op_profiling") == "true" and fault != "no_profile":
        op_profile()


main()
