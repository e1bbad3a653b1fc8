#!/usr/bin/env bash
# Debian's chromium, for the tests that open reports; without root or apt they skip with a reason.
set -euo pipefail
command -v chromium >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "no chromium, and no way to install it here: browser tests will be skipped"
  exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
