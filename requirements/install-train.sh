#!/usr/bin/env bash
# Makes .venv from a lock that holds the tests and `bump train llm` together.
#
# Without a GPU it takes the CPU build of torch, which PyPI does not hold: UV_FIND_LINKS (or pip's
# PIP_FIND_LINKS) names a folder or page that does. Where there is none, PyPI's torch is installed,
# which works without a GPU too, and brings gigabytes of CUDA along.
set -euo pipefail
cd "$(dirname "$0")/.."

pip_find_links=${PIP_FIND_LINKS:-$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)}
export UV_FIND_LINKS=${UV_FIND_LINKS:-${pip_find_links// /,}}

sync() {
    .venv/bin/uv pip sync --quiet --require-hashes --compile-bytecode --python .venv/bin/python "$1"
}

if command -v nvidia-smi >/dev/null || ! sync requirements/train-cpu.txt; then
    echo "Installing PyPI's torch, with CUDA."
    sync requirements/train.txt
fi
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable . --editable clients/python
