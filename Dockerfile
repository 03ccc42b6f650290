# Strongroom as a container, to run beside the application with its folder mounted at /app:
#   docker run -p 127.0.0.1:8080:8080 -v /srv/app:/app -u "$(id -u):$(id -g)" strongroom
# The container listens on all of its own interfaces; publish the port on the loopback interface, or configure TLS.

FROM node:22-bookworm-slim AS pages
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci
COPY docs/openapi.json /src/docs/openapi.json
COPY web ./
RUN npm run build

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=pages /src/web/dist ./web/dist
RUN cargo build --release --locked && strip target/release/strongroom

FROM debian:bookworm-slim
# pg_dump writes the schema of PostgreSQL databases; it should not be older than the server.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates postgresql-client tzdata \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/strongroom /usr/local/bin/strongroom
WORKDIR /app
VOLUME /app
EXPOSE 8080
STOPSIGNAL SIGTERM
ENV STRONGROOM_ALLOW_PLAIN_HTTP=true
ENTRYPOINT ["strongroom"]
CMD ["serve", "--listen", "0.0.0.0:8080"]
