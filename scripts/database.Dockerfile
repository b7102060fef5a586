# A MariaDB of Debian's for clusters: bakeoff brings its configuration, its start and its accounts.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server \
    && rm -rf /var/lib/apt/lists/* /var/lib/mysql/* /var/log/*
USER 10001:10001
