#!/usr/bin/env bash
# Runs everything that tests Glassmesh, in the order in which it fails fastest.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
  cat <<'TEXT'
Usage: ./test.sh [--no-install]

Runs all tests of Glassmesh: formatting, lints, documentation, unit and end-to-end
tests, and then checks on a running mesh: its metrics with promtool, every
dashboard query with a real Prometheus, the console's page in a real browser.

Needs a Rust toolchain. What else is missing is installed first (Debian and
Ubuntu: with apt-get, through sudo if you are not root); it says what and why.

  --no-install   install nothing; name what is missing, and stop
  -h, --help     this text

Only Rust at hand? `cargo test --workspace` runs all that needs nothing more.
TEXT
}

install=yes
for argument in "$@"; do
  case $argument in
    --no-install) install=no ;;
    -h | --help) usage; exit 0 ;;
    *) echo "test.sh: unknown argument '$argument'; see ./test.sh --help" >&2; exit 2 ;;
  esac
done

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
  bold='' red='' green='' plain=''
fi

# ---------------------------------------------------------------- steps

child=''
stop_child() {
  [[ -n $child ]] && kill "$child" 2>/dev/null && wait "$child" 2>/dev/null
  child=''
}
trap 'stop_child || true' EXIT
trap 'stop_child || true; exit 130' INT TERM

span() { if (($1 < 60)); then echo "$1 s"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi; }

report=()
# step NAME WHAT-TO-DO-WHEN-IT-FAILS COMMAND...
step() {
  local name=$1 hint=$2 start=$SECONDS status=0
  shift 2
  printf '\n%s── %s%s\n' "$bold" "$name" "$plain"
  # In the background, so that a signal ends it at once and not after it is done.
  "$@" &
  child=$!
  wait "$child" || status=$?
  child=''
  local took
  took=$(span $((SECONDS - start)))
  if ((status != 0)); then
    printf '%s✗ %s failed after %s.%s %s\n' "$red" "$name" "$took" "$plain" "$hint" >&2
    exit 1
  fi
  printf '%s✓ %s%s (%s)\n' "$green" "$name" "$plain" "$took"
  report+=("$(printf '%-42s %12s' "$name" "$took")")
}

# ---------------------------------------------------------------- what is needed

have() { command -v "$1" >/dev/null 2>&1; }
have_browser() {
  [[ -n ${CHROMIUM:-} || -d "/Applications/Google Chrome.app" || -d "/Applications/Chromium.app" ]] ||
    have chromium || have chromium-browser || have google-chrome || have google-chrome-stable
}

packages=() missing=()
# need PACKAGE WHY: a Debian package and what it is for
need() { packages+=("$1"); missing+=("$(printf '  %-12s %s' "$1" "$2")"); }

have cc || { need gcc "compiles SQLite and the allocator"; need libc6-dev "headers for them"; }
have ps || need procps "the tests look for processes that are left over"
have curl || need curl "one of the clients that faults are tested with"
have python3 || need python3 "runs the checks in tests/*.py"
{ have promtool && have prometheus; } || need prometheus "promtool reads metrics and rules as Prometheus would; a server runs the dashboards' queries"
have_browser || need chromium "the console's page is tested in a real browser"
have node || need nodejs "drives that browser"
have npm || need npm "installs what drives the browser, from tests/browser/package-lock.json"

components=()
have cargo || {
  echo "test.sh: there is no cargo. Install a Rust toolchain first: https://rustup.rs" >&2
  exit 2
}
cargo fmt --version >/dev/null 2>&1 || components+=(rustfmt)
cargo clippy --version >/dev/null 2>&1 || components+=(clippy)

install_packages() {
  local sudo=()
  ((EUID == 0)) || sudo=(sudo)
  # The mesh's tests start a Prometheus of their own; the package's service is
  # turned off again, unless it was there before.
  export DEBIAN_FRONTEND=noninteractive
  "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=120 update -qq
  "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=120 install -qq --yes --no-install-recommends "${packages[@]}"
  if [[ " ${packages[*]} " == *" prometheus "* && -d /run/systemd/system ]]; then
    "${sudo[@]}" systemctl disable --quiet --now prometheus prometheus-node-exporter 2>/dev/null || true
  fi
}

if ((${#packages[@]} + ${#components[@]} > 0)); then
  echo "Missing on this machine:"
  printf '%s\n' ${missing[@]+"${missing[@]}"}
  for component in ${components[@]+"${components[@]}"}; do
    printf '  %-12s %s\n' "$component" "part of the Rust toolchain: rustup component add $component"
  done
  if [[ $install == no ]]; then
    echo "Nothing was installed (--no-install). Install the above, or run ./test.sh without it." >&2
    exit 2
  fi
  if ((${#packages[@]} > 0)) && ! have apt-get; then
    echo "This is not Debian: install these with your package manager (macOS: brew install prometheus node; any Chromium or Chrome will do, CHROMIUM=/path/to/it names it), then run ./test.sh again." >&2
    exit 2
  fi
  if ((${#packages[@]} > 0)); then
    step "Installing ${packages[*]}" "See apt-get's message above." install_packages
  fi
  for component in ${components[@]+"${components[@]}"}; do
    step "Installing $component" "Is this toolchain managed by rustup?" rustup component add "$component"
  done
fi

browser_test=tests/browser
if [[ -f $browser_test/package-lock.json && ! -d $browser_test/node_modules && $install == no ]]; then
  echo "Missing: npm packages of $browser_test (npm ci --prefix $browser_test). Nothing was installed (--no-install)." >&2
  exit 2
fi

# ---------------------------------------------------------------- static

check_scripts() {
  for script in test.sh .ci/run; do bash -n "$script"; done
  PYTHONDONTWRITEBYTECODE=1 python3 -c 'import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]' tests/*.py
  if have shellcheck; then shellcheck test.sh .ci/run; else echo "  shellcheck is not here: skipped"; fi
}

check_dashboards() {
  promtool check config dashboards/prometheus/prometheus.yml
  promtool test rules dashboards/prometheus/tests/*.yml
  python3 tests/dashboards.py
}

check_compose() {
  python3 tests/compose.py
  if docker compose version >/dev/null 2>&1; then
    docker compose --file docker-compose.yml config --quiet
    echo "  docker compose accepts docker-compose.yml"
  elif have docker-compose; then
    docker-compose --file docker-compose.yml config --quiet
    echo "  docker-compose accepts docker-compose.yml"
  else
    echo "  no Compose here: its own reading of the file is skipped"
  fi
}

check_dependencies() {
  if cargo deny --version >/dev/null 2>&1; then
    cargo deny --workspace check licenses bans sources
  else
    echo "  cargo-deny is not here (cargo install --locked cargo-deny): licences and sources are not checked"
  fi
}

document() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet; }

step "Formatting" "Run: cargo fmt --all" cargo fmt --all --check
step "Scripts" "The message above names the line." check_scripts
step "Dashboards and rules" "The message above names the panel or the rule." check_dashboards
step "Compose file" "The message above names the difference." check_compose
step "Dependencies" "deny.toml says what is allowed and why." check_dependencies
step "Lints" "Mend the warning, or allow it with a reason where it is wrong." \
  cargo clippy --workspace --all-targets --locked --quiet -- -D warnings

# ---------------------------------------------------------------- tests

step "Tests" "One alone: cargo test --package CRATE NAME" cargo test --workspace --locked --quiet
step "Documentation" "Run: cargo doc --workspace --no-deps" document

# ---------------------------------------------------------------- a running mesh

if [[ -f $browser_test/package-lock.json && $install == yes ]]; then
  step "Installing npm packages of $browser_test" "Is the npm registry reachable?" \
    npm ci --prefix "$browser_test" --no-audit --no-fund --loglevel=error
fi

# The tests above have built this binary: the same profile, so no second build.
binary=${CARGO_TARGET_DIR:-target}/debug/glassmesh
[[ -x $binary ]] || step "Building glassmesh" "See the compiler's message." cargo build --locked --quiet --package glassmesh
step "A running mesh" "The mesh's logs are in the directory named above." \
  python3 tests/live.py --glassmesh "$binary"

printf '\n%sAll passed%s in %s.\n' "$green" "$plain" "$(span $SECONDS)"
printf '  %s\n' "${report[@]}"
