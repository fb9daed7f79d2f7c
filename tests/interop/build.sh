#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds the programs of one CometBFT version:
#   build.sh VERSION OUTDIR         OUTDIR/gopeer-VERSION
#   build.sh VERSION OUTDIR node    OUTDIR/cometbft-VERSION, the complete node
#   build.sh VERSION OUTDIR oracle  OUTDIR/gooracle-VERSION, for oracle.py
#   build.sh VERSION OUTDIR book    OUTDIR/gobook-VERSION, for books.py
set -eu

if [ $# -lt 2 ] || [ ! -d "$(dirname "$0")/$1" ]; then
  echo "usage: build.sh VERSION OUTDIR [node|oracle|book]" >&2
  exit 2
fi
version=$1
case $version in
v0.34.*) module=github.com/tendermint/tendermint tags=tendermint ;;
*) module=github.com/cometbft/cometbft tags= ;;
esac
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$0")/$version"
if [ "${3:-}" = node ]; then
  exec go build -mod=readonly -buildvcs=false -o "$out/cometbft-$version" \
    "$module/cmd/cometbft"
fi
if [ "${3:-}" = oracle ]; then
  exec go build -mod=readonly -buildvcs=false -o "$out/gooracle-$version" \
    ./oracle
fi
if [ "${3:-}" = book ]; then
  exec go build -mod=readonly -buildvcs=false -tags "$tags" \
    -o "$out/gobook-$version" ./book
fi
exec go build -mod=readonly -buildvcs=false -o "$out/gopeer-$version" ./peer
