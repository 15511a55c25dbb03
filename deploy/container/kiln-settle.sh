#!/bin/sh
# Makes a coordinator belong to a farm, once: what `kiln coordinator` needs before it can be started in a container. Does nothing
# when it does already, so it may run before every start.
#
#   kiln-settle SETTINGS DIRECTORY TOKEN [FOUNDER]
#
# SETTINGS is the coordinator's settings file and DIRECTORY the directory that it names. Unless FOUNDER is `founder`, the coordinator
# joins with the token in the file TOKEN, and waits for that file as long as it takes. A founder leaves the first operator's token in
# DIRECTORY/first-operator; it brings the farm's key from KILN_FARM_KEY, a file, if there is one.
set -eu

settings=$1
directory=$2
token=$3
founder=${4:-}

if [ -e "$directory/coordinator.pem" ]; then
    exit 0
fi
umask 077
if [ "$founder" = founder ]; then
    if [ -n "${KILN_FARM_KEY:-}" ] && [ -s "$KILN_FARM_KEY" ] && [ ! -e "$directory/farm.key" ]; then
        cat "$KILN_FARM_KEY" >"$directory/farm.key"
    fi
    kiln coordinator init -settings "$settings" >"$directory/founded"
    sed -n 's/^ *export KILN_TOKEN=//p' "$directory/founded" >"$directory/first-operator.new"
    mv "$directory/first-operator.new" "$directory/first-operator"
    rm "$directory/founded"
    exit 0
fi
until [ -s "$token" ]; do
    echo "waiting for a join token in $token: kiln farm token create coordinator" >&2
    sleep "${KILN_SETTLE_PAUSE:-5}"
done
exec kiln coordinator join -settings "$settings" -token-file "$token"
