# rowcast as a container: pages, then the binary that carries them, then an image with little else.

FROM node:22-trixie-slim AS pages
WORKDIR /rowcast/web
COPY web/ ./
RUN npm ci --no-audit --no-fund && npm run build

FROM rust:1.95-slim-trixie AS binary
# What librdkafka is built with. Not pinned: the image is rebuilt for their security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential libssl-dev make pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /rowcast
COPY . .
COPY --from=pages /rowcast/web/dist web/dist
RUN cargo build --release --locked --package rowcast

FROM debian:trixie-slim
# TLS for Kafka, and the authorities that it trusts.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3t64 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/rowcast --create-home --shell /usr/sbin/nologin rowcast
COPY --from=binary /rowcast/target/release/rowcast /usr/local/bin/rowcast
USER 10001
WORKDIR /var/lib/rowcast
VOLUME /var/lib/rowcast
# Page and streams; /metrics and /health are on 127.0.0.1:9464 unless ROWCAST_METRICS_LISTEN says otherwise.
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["rowcast", "health"]
ENTRYPOINT ["rowcast"]
CMD ["run"]
