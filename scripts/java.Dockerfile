# An image with Java, on which `bakeoff image --jmeter` makes that of JMeter, for clusters where none can be pulled.
#   BASE  Debian's
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
