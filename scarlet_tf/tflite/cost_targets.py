"""What --optimize_for means: the targets whose costs decide, and where these costs come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scarlet_tf.choices import check_known
from scarlet_tf.formats import ANDROID, ARM64, HOST, NONE, SIZE, TARGETS, XNNPACK
from scarlet_tf.tflite.costs import FormCosts, FormCostsError, cached_path, load_table, runtime_version, write_table
from scarlet_tf.tflite.costs.measure import empty_table, measure_costs, time_on_host
from scarlet_tf.tflite.forms.signature import Signature

# Targets whose tables the package has. The slowest is first: `rewrite_operators` takes most care of it.
SHIPPED = ("cortex-a72", "cortex-a76", "armv9-i8mm", "x86-avx2", "x86-vnni", "x86-amx")
_DECIDED_BY: Mapping[str, tuple[str, ...]] = {
    XNNPACK: SHIPPED,
    SIZE: SHIPPED,
    ARM64: ("cortex-a76",),
    HOST: ("host",),
    ANDROID: ("android",),
    NONE: (),
}


def tables_for(optimize_for: str, signatures: Sequence[Signature]) -> dict[str, FormCosts]:
    """Return the cost tables that decide, by target.

    For "host", operators that the table in the user's cache lacks are measured first, a second each, and added to it.

    Raises:
        ValueError: for an unknown target.
        FormCostsError: for "android" before anything was measured on a device, and for a damaged table.
    """
    check_known("optimize_for", optimize_for, TARGETS)
    if optimize_for == HOST:
        return {HOST: _host_table(signatures)}
    tables = {target: load_table(target) for target in _DECIDED_BY[optimize_for]}
    if tables.get(ANDROID, True) is None:
        raise FormCostsError(
            "no costs measured on an Android device with LiteRT "
            f"{runtime_version()}: run python tools/measure_forms.py --target=android first"
        )
    return tables


def _host_table(signatures: Sequence[Signature]) -> FormCosts:
    fresh = empty_table(HOST)
    table, path = load_table(HOST), cached_path(HOST, runtime=runtime_version())
    if table is None or table.cpu != fresh.cpu:  # the cache may be of another machine that shares the home folder
        table = fresh
    return measure_costs(signatures, time_on_host, table=table, save=lambda table: write_table(table, path))
