# Built once with the toolchain, run without it, as nobody.
FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin falconer

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/falconer /usr/local/bin/falconer
USER 65532:65532
WORKDIR /var/lib/falconer
EXPOSE 8000
ENTRYPOINT ["falconer"]
CMD ["run", "--config", "/etc/falconer/actors.toml"]
