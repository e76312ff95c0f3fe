#!/usr/bin/env bash
# scale_smoke.sh SHOAL BENCH_SCALE: records a small run and models it on up to 16 ranks.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" generate --prompt "Tell me about cats." --particles 32 --max-tokens 30 --batch-size 5 --style conversational \
  --ess-threshold 2 --resampling multinomial --quiet --trace "$work/run.h5" >"$work/answer"
"$2" "$work/run.h5" --max-ranks 16 --particles-per-rank 8 | tee "$work/curves"
grep -q 'Assumed:' "$work/curves"
[ "$(grep -cE '^ +(1|2|4|8|16) ' "$work/curves")" = 10 ] # five numbers of ranks, weak and strong
