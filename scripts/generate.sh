#!/usr/bin/env bash
# Makes the generated Go code from the .proto files again. It needs Go alone.
set -euo pipefail
cd "$(dirname "$0")/.."
exec go run ./scripts/genproto
