"""A server whose process carries a mark that is not its own: forger.py PORT PID HOW. The mark is that of the process
PID, or with 0 one that nobody has. HOW is "stays": the first process goes on until it is asked to end,
"apart": so it does, and the server has a session of its own, or "lost": so it has, and between the two there was
one process that ended at once."""

import os
import re
import resource
import signal
import socket
import sys
import time

RTTIME = 15

port, whose, how = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
own, hard = resource.getrlimit(RTTIME)
if whose:
    with open(f"/proc/{whose}/limits") as limits:
        forged = int(re.search(r"Max realtime timeout\s+(\d+)", limits.read()).group(1))
else:
    forged = own | 0xFFFF
resource.setrlimit(RTTIME, (forged, hard))
if os.fork() > 0:
    resource.setrlimit(RTTIME, (own, hard))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        time.sleep(0.05)
if how != "stays":
    os.setsid()
if how == "lost" and os.fork() > 0:
    os._exit(0)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(64)
while True:
    connection, _ = listener.accept()
    connection.close()
