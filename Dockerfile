# Open WebUI with webui-init as its ENTRYPOINT.
#
#   docker build -t open-webui .                                    on top of Open WebUI's own image
#   docker build --build-arg OPEN_WEBUI_IMAGE=…:v0.12.4-slim .      on top of another one
#   docker build --target binary --output dist .                    the static binary alone
#
# BUILDER_IMAGE is any image with cargo, a C compiler and a C library to link statically:
# rust:1-slim-bookworm (glibc) and rust:1-alpine (musl) both work. glibc is the default because it is
# what the tests run on; its resolver works in a static binary without the image's NSS modules
# ("files" and "dns" are built in since glibc 2.34), which the smoke test shows in an empty image.
ARG BUILDER_IMAGE=rust:1-slim-bookworm
ARG OPEN_WEBUI_IMAGE=ghcr.io/open-webui/open-webui:main

FROM ${BUILDER_IMAGE} AS build
WORKDIR /src
# With +crt-static the target must be named, or build scripts and macros would be linked statically too.
ENV RUSTFLAGS="-C target-feature=+crt-static"
# The dependencies are a layer of their own: it is built again when Cargo.lock changes, not when src does.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --target "$(rustc --print host-tuple)"
COPY migrations migrations
COPY src src
# cargo goes by modification times, and copied files are older than the stubs just built. Packed relocations
# take 0.3 MB off the binary.
RUN touch src/main.rs src/lib.rs \
    && cargo rustc --release --locked --target "$(rustc --print host-tuple)" --bin webui-init \
        -- -C link-arg=-Wl,-z,pack-relative-relocs \
    && mkdir /out \
    && cp target/*/release/webui-init /out/
COPY docker-entrypoint.sh /out/
RUN chmod 0755 /out/*

FROM scratch AS binary
COPY --from=build /out/webui-init /

FROM ${OPEN_WEBUI_IMAGE}
ARG OPEN_WEBUI_IMAGE
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="Open WebUI with webui-init" \
      org.opencontainers.image.description="Open WebUI that moves itself from SQLite to PostgreSQL, exactly once, when DATABASE_URL is set" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${OPEN_WEBUI_IMAGE}"
# One layer, and all that the image grows by.
COPY --from=build /out/ /usr/local/bin/
# The base image's check needs curl and jq, which the slim image need not have, and gives up after 90 s,
# which a move may exceed. This one asks the same question with the interpreter that runs the app; while
# the move is under way a failed check does not count, and the first good one ends the start period.
HEALTHCHECK --interval=30s --timeout=5s --start-period=1h --retries=3 \
    CMD ["python3", "-I", "-c", "import json, os, urllib.request as http\nurl = 'http://127.0.0.1:%s/health' % (os.environ.get('PORT') or 8080)\nanswer = http.build_opener(http.ProxyHandler({})).open(url, timeout=4)\nraise SystemExit(json.load(answer).get('status') is not True)"]
ENTRYPOINT ["docker-entrypoint.sh"]
# Setting ENTRYPOINT resets the CMD of the base image; this is the same one again.
CMD ["bash", "start.sh"]
