#!/bin/bash
# Install the Debian packages of debian-packages.txt that this machine lacks.
#
#   requirements/install_debian.sh run|test
#
# Asks each line's own command, so that a Python or a PostgreSQL from elsewhere counts as well.
# Installs as root or by sudo without a password; else names what is missing and ends with 1.
set -euo pipefail
need=${1:?"usage: $0 run|test"}
list="$(dirname "$0")/debian-packages.txt"

missing=()
while read -r line_need package probe; do
    if [ "$line_need" = "$need" ] && ! bash -c "$probe" >/dev/null 2>&1; then
        missing+=("$package")
    fi
done < <(grep -v '^#' "$list")
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=()
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    as_root=()
    unable="this user is neither root nor may use sudo without a password"
fi
command -v apt-get >/dev/null || unable="there is no apt-get here"

if [ -n "${unable:-}" ]; then
    echo "Missing Debian packages: ${missing[*]}" >&2
    echo "They cannot be installed from here: $unable." >&2
    echo "Next step: sudo apt-get install ${missing[*]}   (or the same from elsewhere)" >&2
    exit 1
fi

echo "Installing Debian packages: ${missing[*]}"
# Tests start a private PostgreSQL of their own: the package need not make and start one.
if [[ " ${missing[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" |
        "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${as_root[@]}" apt-get update &&
    "${as_root[@]}" apt-get install --yes --no-install-recommends "${missing[@]}"; } \
    </dev/null >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "apt-get could not install: ${missing[*]}; its last words stand above." >&2
    exit 1
fi
