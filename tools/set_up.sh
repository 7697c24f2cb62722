# Sourced by the other scripts: goes to the project's folder and makes .venv there, once for every change of the
# requirements or of the folder's place, which .venv holds. PYTHON chooses another interpreter (3.11 or newer).
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stamp=.venv/requirements.sha256
wanted=$({ pwd; cat setup.cfg pyproject.toml constraints.txt; } | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    "${PYTHON:-python3}" -m venv .venv
    .venv/bin/python -m pip install --quiet uv
    # Bytecode is compiled here, as where Python may not write it every start would cost seconds more.
    # uv installs in seconds what takes pip minutes; where it cannot reach the index, pip's own settings may.
    { .venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --constraint constraints.txt --editable '.[test]' ||
        .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'; } || return 1
    echo "$wanted" >"$stamp"
fi
export PATH="$PWD/.venv/bin:$PATH"
# Data sets are kept in the user's cache; where that cannot be written, here.
cache=${XDG_CACHE_HOME:-~/.cache}
{ mkdir -p "$cache" && [ -w "$cache" ]; } 2>/dev/null || export XDG_CACHE_HOME=$PWD/.cache
export TF_CPP_MIN_LOG_LEVEL=2
python tools/prepare_fashion_mnist.py
