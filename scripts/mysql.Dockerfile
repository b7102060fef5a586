# An image of the MySQL that scripts/mysql fetches, for clusters where none can be pulled:
#   docker build -f scripts/mysql.Dockerfile -t registry.example/bakeoff/mysql:1 "$(scripts/mysql)"
#   BASE  Debian's, for a shell
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY bin /opt/mysql/bin
COPY root /opt/mysql/root
RUN ln -s /opt/mysql/bin/mysqld /opt/mysql/bin/mysql /usr/local/bin/ && mysqld --no-defaults --version
USER 10001:10001
ENTRYPOINT ["mysqld"]
