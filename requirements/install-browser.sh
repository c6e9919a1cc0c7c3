#!/usr/bin/env bash
# Chromium for the tests of the console, from the system's packages; does nothing where there is one.
#
# Where it cannot be installed (no apt, not root), it says so and those tests skip.
# BUMP_REQUIRE_BROWSER=1 makes that an error.
set -euo pipefail

for name in "${BUMP_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    if [[ -n $name ]] && command -v "$name" >/dev/null; then
        exit 0
    fi
done

install() {
    [[ $(id -u) == 0 ]] || { echo "that needs root"; return 1; }
    command -v apt-get >/dev/null || { echo "there is no apt-get"; return 1; }
    apt-get update --quiet --quiet &&
        DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends chromium
}

if ! output=$(install 2>&1); then
    echo "No Chromium, and it could not be installed: $(tail -n 1 <<<"$output")." >&2
    echo "The tests of the console are skipped. Install Chromium, or name one in BUMP_CHROMIUM." >&2
    [[ ${BUMP_REQUIRE_BROWSER:-} != 1 ]]
fi
