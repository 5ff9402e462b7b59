#!/usr/bin/env bash
# Runs every test of the project. Installs what the tests need: Debian packages (as root), a Python
# environment under target/, and the interoperability client. Says at its end what ran and what failed.
#
#   ./test.sh            everything
#   ./test.sh --list     the names of the steps
#   ./test.sh NAME ...   only these steps
set -uo pipefail
cd "$(dirname "$0")"

packages=(mosquitto bsdutils gcc libc6-dev gcc-arm-linux-gnueabihf libc6-dev-armhf-cross libssl-dev pkg-config python3 python3-venv)

step_packages() {
    local missing=()
    for package in "${packages[@]}"; do
        [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "These Debian packages are needed and missing; install them as root: apt-get install ${missing[*]}"
        return 1
    fi
    apt-get update --quiet --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
}

step_python() {
    local home=target/interop-python
    [ -x "$home/bin/python" ] || python3 -m venv "$home" || return 1
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --requirement interop/python/requirements.txt
}

step_azure_iot_sdk() { cargo build --locked --manifest-path interop/azure_iot_sdk/Cargo.toml; }
step_format() { cargo fmt --all --check; }
step_lint() { cargo clippy --locked --workspace --all-targets -- -D warnings; }
step_documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items; }
step_armv7() {
    rustup target add armv7-unknown-linux-gnueabihf &&
        CC_armv7_unknown_linux_gnueabihf=arm-linux-gnueabihf-gcc \
            cargo check --locked -p edge-tcp-gateway --target armv7-unknown-linux-gnueabihf
}
step_dependencies() {
    command -v cargo-deny >/dev/null || cargo install --locked cargo-deny || return 1
    cargo deny --all-features check bans licenses sources || return 1
    # The fuzz targets are a workspace of their own, whose lock file nothing else reads.
    cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
}
step_tests() { cargo test --locked --workspace --no-fail-fast; }

steps=(packages python azure_iot_sdk format lint documentation armv7 dependencies tests)

if [ "${1:-}" = --list ]; then
    printf '%s\n' "${steps[@]}"
    exit 0
fi
chosen=("${@:-${steps[@]}}")
[ $# -eq 0 ] && chosen=("${steps[@]}")
for name in "${chosen[@]}"; do
    case " ${steps[*]} " in
    *" $name "*) ;;
    *) echo "unknown step $name; ./test.sh --list names them" && exit 2 ;;
    esac
done

report=()
failed=0
for name in "${chosen[@]}"; do
    echo "=== $name"
    start=$SECONDS
    if "step_$name"; then result=passed; else result=FAILED && failed=$((failed + 1)); fi
    took=$((SECONDS - start))
    report+=("$(printf '%-14s %-6s %3d min %02d s' "$name" "$result" $((took / 60)) $((took % 60)))")
done

echo
echo "=== What ran"
printf '%s\n' "${report[@]}"
echo "$((${#chosen[@]} - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
