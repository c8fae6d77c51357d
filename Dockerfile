# One image for every container of the mesh: console, services, sidecars, load.
# Plain instructions only, so that the classic builder and BuildKit both take it.
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# The workspace with empty crates. What later stages copy from here changes only
# with a manifest or the lock file, so that the layer of compiled dependencies
# stays valid while our own code changes.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -name lib.rs ! -name main.rs -delete \
 && find . -name '*.rs' -exec sh -c 'echo "fn main() { }" > "$1"' sh {} \; \
 && find . -type d -empty -delete

FROM ${RUST_IMAGE} AS dependencies
WORKDIR /src
COPY --from=manifests /src .
RUN cargo build --release --locked --package glassmesh

FROM dependencies AS build
COPY . .
# Cargo compares times, and a checkout may be older than the empty crates above.
RUN find . -name '*.rs' -not -path './target/*' -exec touch {} + \
 && cargo build --release --locked --package glassmesh \
 && mkdir -p /out/data \
 && cp target/release/glassmesh /out/

FROM ${RUNTIME_IMAGE}
COPY --from=build /out/glassmesh /usr/local/bin/glassmesh
# A volume mounted here starts with this owner, so that databases can be made.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
WORKDIR /data
ENTRYPOINT ["/usr/local/bin/glassmesh"]
