#!/usr/bin/env bash
# Makes sure that what a build and its tests need is there: a C compiler and linker, Rust, Go, a
# container runtime; and a folder for sockets, so that nobody builds for minutes to hear that the
# tests cannot run. With --build, only what a build and the demo need.
# Installs Debian packages where it may; otherwise says which ones to install.
set -euo pipefail
tests=yes
[ "${1:-}" = --build ] && tests=no
cd "$(dirname "$0")/.."

if ! command -v cargo >/dev/null; then
    echo "Rust is missing: install the stable toolchain, 1.95 or later, and run this again." >&2
    exit 1
fi
need=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
have=$(rustc --version | cut -d' ' -f2)
if [ "$(printf '%s\n%s\n' "$need" "$have" | sort -V | head -n 1)" != "$need" ]; then
    echo "Rust $have is too old: $need or later is needed (rustup update stable)." >&2
    exit 1
fi

scripts/run-dir.sh >/dev/null

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v git >/dev/null || missing+=(git)
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
if [ ${#missing[@]} -gt 0 ]; then
    scripts/apt-install.sh "${missing[@]}"
fi
scripts/setup-go.sh >/dev/null
if [ "$tests" = no ]; then
    exit 0
fi
# Shows a process of the tests a wall clock of their choice. A build does without.
if ! compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null; then
    scripts/apt-install.sh faketime || [ -z "${CI:-}" ]
fi
# Makes system calls of a process of the tests fail, or hang. A build does without.
if ! command -v strace >/dev/null; then
    scripts/apt-install.sh strace || [ -z "${CI:-}" ]
fi
# Runs the pods of the tests, which start it on a root of their own: the system's stays as it is.
runtime=()
have() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }
have containerd || runtime+=(containerd)
have runc || runtime+=(runc)
have ip || runtime+=(iproute2)
have iptables || runtime+=(iptables)
[ -x /usr/lib/cni/bridge ] || runtime+=(containernetworking-plugins)
if [ ${#runtime[@]} -gt 0 ]; then
    scripts/apt-install.sh --without-services "${runtime[@]}" || [ -z "${CI:-}" ]
fi
