#!/bin/bash
# Try the project on a machine with nothing installed: a minimal Debian with make, and no more.
set -euo pipefail

usage() {
    cat <<END
usage: tests/fresh_machine.sh [options] [TARGET ...]

Makes a minimal Debian (bookworm) in a folder, puts the committed files of this project into it,
runs \`make TARGET\` there, in order and timed, and prints the figures. Without TARGET: run.
Ends with 0 if all targets did. Needs root; installs debootstrap if it is missing.

  --within SECONDS   end a target after so long, and count that as a failure (default 3600)
  --commit NAME      the files of another commit (default HEAD)
  --cache FOLDER     keep the bare Debian there, so that a repeat need not make it again
                     (default \$SNF_FRESH_CACHE; without either it is not kept)
  --mirror URL       Debian's mirror (default \$SNF_DEBIAN_MIRROR or http://deb.debian.org/debian)
  --keep             leave the machine's folder in place and print its name
  --help             print this

A site's own settings go along: name servers, added certificates, apt's options, and of the
environment the variables of proxies, certificates and pip's index.
END
}

within=3600 commit=HEAD keep= targets=()
cache=${SNF_FRESH_CACHE:-} mirror=${SNF_DEBIAN_MIRROR:-http://deb.debian.org/debian}
while [ $# -gt 0 ]; do
    case $1 in
        --help) usage; exit 0 ;;
        --keep) keep=yes; shift ;;
        --within | --commit | --cache | --mirror)
            [ $# -ge 2 ] || { echo "$1 needs a value; see --help" >&2; exit 2; }
            declare "${1#--}=$2"; shift 2 ;;
        -*) echo "unknown option $1; see --help" >&2; exit 2 ;;
        *) targets+=("$1"); shift ;;
    esac
done
[ ${#targets[@]} -gt 0 ] || targets=(run)
[ "$(id -u)" = 0 ] || { echo "making a machine needs root: sudo $0 ..." >&2; exit 2; }

project=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d /var/tmp/snf-fresh.XXXXXX)
root=$work/machine
leave() {
    if [ -n "$keep" ]; then echo "kept: $root"; else rm -rf --one-file-system "$work"; fi
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

bare_debian() {
    local kept=$cache/bookworm-minbase-make.tar
    mkdir "$root"
    if [ -n "$cache" ] && [ -f "$kept" ]; then
        tar -xf "$kept" -C "$root" --numeric-owner
        return
    fi
    if ! command -v debootstrap >/dev/null; then
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes debootstrap; } \
            >"$work/log" 2>&1 || { tail "$work/log" >&2; exit 3; }
    fi
    timeout 900 debootstrap --variant=minbase --include=make,ca-certificates bookworm \
        "$root" "$mirror" >"$work/log" 2>&1 || { tail "$work/log" >&2; exit 3; }
    if [ -n "$cache" ]; then
        mkdir -p "$cache"
        tar -cf "$kept.$$" -C "$root" --numeric-owner . && mv "$kept.$$" "$kept"
    fi
}

site_settings() {
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    grep -ls '^Acquire' /etc/apt/apt.conf.d/* | xargs -r cp -t "$root/etc/apt/apt.conf.d" ||
        true # no such options
    if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
        cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
        chroot "$root" update-ca-certificates >"$work/log" 2>&1
    fi
}

# The environment a person has after logging in, and nothing else of the caller's.
environment=(HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 LOGNAME=root)
for name in {http,https,no}_proxy {HTTP,HTTPS,NO}_PROXY SSL_CERT_{FILE,DIR} REQUESTS_CA_BUNDLE \
    PIP_{CERT,PROXY,INDEX_URL,TRUSTED_HOST,DEFAULT_TIMEOUT}; do
    [ -z "${!name:-}" ] || environment+=("$name=${!name}")
done

# Mounts and processes live in namespaces of their own: the kernel ends both with the target,
# whatever becomes of this script. /proc, /sys and these of /dev are what a running Linux has.
in_machine() {
    timeout --foreground --signal=KILL "$within" unshare --mount --pid --fork --kill-child bash -c '
        root=$0
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys" && mount --make-rslave "$root/sys"
        mkdir -p "$root/dev/shm" && mount -t tmpfs shm "$root/dev/shm"
        mkdir -p "$root/dev/pts" && mount -t devpts -o newinstance,ptmxmode=0666 pts "$root/dev/pts"
        [ -e "$root/dev/ptmx" ] || ln -s pts/ptmx "$root/dev/ptmx"
        chroot "$root" env -i "$@"
        exit $?' "$root" "${environment[@]}" "$@" </dev/null
}

started=$SECONDS
bare_debian
site_settings
mkdir "$root/root/snfpipe"
git -C "$project" archive "$commit" | tar -x -C "$root/root/snfpipe"
echo "machine ready in $((SECONDS - started)) s: Debian $(cat "$root/etc/debian_version")," \
    "$(chroot "$root" dpkg-query -f . -W | wc -c) packages," \
    "commit $(git -C "$project" rev-parse --short "$commit")"

failed=0 figures=()
for target in "${targets[@]}"; do
    started=$SECONDS status=0
    in_machine make -C /root/snfpipe "$target" || status=$?
    [ "$status" = 0 ] || failed=1
    [ "$status" != 137 ] || echo "make $target: not done within $within s" >&2
    figures+=("$(printf 'make %-8s %5d s   exit %d' "$target" $((SECONDS - started)) "$status")")
done
printf '%s\n' "" "on a machine with nothing installed:" "${figures[@]}"
exit $failed
