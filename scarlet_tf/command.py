"""The console script `scarlet-tf`: `scarlet-tf export-tflite ...` is `python tools/export_tflite.py ...`."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path
from typing import NoReturn

import scarlet_tf
from scarlet_tf.choices import check_known

_PACKAGE = Path(__file__).parent


def tools() -> dict[str, Path]:
    """Return the files of all tools by command, such as "export-tflite".

    A wheel has the tools inside the package, without rank and reproduce; a checkout has all of them beside it.
    """
    folder = _PACKAGE / "tools" if (_PACKAGE / "tools").is_dir() else _PACKAGE.parent / "tools"
    return {path.stem.replace("_", "-"): path for path in sorted(folder.glob("*.py"))}


def main() -> NoReturn:
    """Run the tool that the first argument names; without one, list them. `--version` prints the version."""
    known = tools()
    if sys.argv[1:] == ["--version"]:
        print(f"scarlet-tf {scarlet_tf.__version__}")
        sys.exit(0)
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-help", "-h"):
        print("scarlet-tf TOOL --flag=value ...; scarlet-tf TOOL --help lists a tool's flags.\n")
        width = max(map(len, known))
        for tool, path in known.items():
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            print(f"  {tool:{width}}  {doc.splitlines()[0]}")
        sys.exit(0)
    try:
        check_known("tool", name.replace("_", "-"), tuple(known))
    except ValueError as error:
        print(f"scarlet-tf: {error}", file=sys.stderr)
        sys.exit(2)
    path = known[name.replace("_", "-")]
    sys.argv = [str(path), *sys.argv[2:]]
    runpy.run_path(str(path), run_name="__main__")
    sys.exit(0)
