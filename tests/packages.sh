# packages.sh: the Debian packages that building, testing and measuring need.
#
# Sourced by tests/run and bench/run, which call packages_need with the groups that they use.
# Always: nothing is changed, and under a second passes, when nothing is missing.
# shellcheck shell=bash

packages_of() {
    case $1 in
    build)
        echo gcc libc6-dev meson ninja-build pkg-config python3 libssl-dev libxxhash-dev \
            liburing-dev libhiredis-dev libinih-dev libcjson-dev libcmocka-dev libzstd-dev
        ;;
    # What the tests use when it is there; without it the tests concerned skip, and say so.
    test)
        echo clang libclang-rt-14-dev clang-format spin shellcheck codespell python3-dev \
            python3-numpy mypy
        ;;
    # The bench's rivals. Redis: a private server on a temporary socket, never the system's.
    bench) echo redis-server fio ;;
    *)
        echo "packages.sh: no group '$1'" >&2
        return 1
        ;;
    esac
}

# Print those of the given packages that are not installed.
packages_missing() {
    local have
    have=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
        sed -n 's/ installed$//p' | sort -u) || true
    comm -13 <(echo "$have") <(printf '%s\n' "$@" | sort -u)
}

packages_install() {
    export DEBIAN_FRONTEND=noninteractive
    echo "installing: $*"
    apt-get -qq update || return 1
    apt-get -qq -y --no-install-recommends install "$@" >/dev/null || return 1
    # Debian starts what it installs. We wanted the program; nobody asked for a service.
    if [[ " $* " == *" redis-server "* && -d /run/systemd/system ]]; then
        systemctl disable --now redis-server >/dev/null 2>&1 || true
    fi
}

# packages_need GROUP...: install what is missing, or say how. Returns 1 if the build cannot go on;
# a missing package of the other groups is named, and costs only what needs it.
packages_need() {
    local group wanted missing=() hard=()
    if ! command -v dpkg-query >/dev/null; then
        echo "not a Debian: make sure that the counterparts of these are there:" \
            "$(for group in "$@"; do packages_of "$group"; done | tr '\n' ' ')"
        return 0
    fi
    for group in "$@"; do
        wanted=$(packages_of "$group") || return 1
        # shellcheck disable=SC2086 # a list of words
        mapfile -t -O "${#missing[@]}" missing < <(packages_missing $wanted)
        if [[ $group == build ]]; then
            hard=("${missing[@]}")
        fi
    done
    if ((${#missing[@]} == 0)); then
        return 0
    fi
    if ((EUID == 0)); then
        packages_install "${missing[@]}" && return 0
        echo "apt-get could not install: ${missing[*]}" >&2
        ((${#hard[@]} == 0))
        return
    fi
    echo "missing packages; run:  sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
    ((${#hard[@]} == 0))
}
