"""A server that tries to be forgotten: daemon.py PORT. It forks twice,
leads a session of its own, ignores SIGTERM, SIGHUP and SIGINT, closes every
descriptor, starts itself anew with an empty environment, and then listens.
With LIMIT as second argument it also takes back the limit on realtime CPU time,
with ENVIRONMENT it keeps its environment, with "stay" its first process lives
on, with "child" it forks only once."""

import os
import resource
import signal
import socket
import sys
import time

RTTIME = 15

port, options = sys.argv[1], sys.argv[2:]
if "started" not in options:
    if os.fork() > 0:
        time.sleep(1000 if "stay" in options else 0)
        os._exit(0)
    os.setsid()
    if "child" not in options and os.fork() > 0:
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if "LIMIT" in options:
        hard = resource.getrlimit(RTTIME)[1]
        resource.setrlimit(RTTIME, (hard, hard))
    os.closerange(0, 1024)
    environment = os.environ if "ENVIRONMENT" in options else {}
    os.execve(sys.executable, [sys.executable, sys.argv[0], port, *options, "started"], environment)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(port)))
listener.listen(64)
while True:
    connection, _ = listener.accept()
    connection.close()
