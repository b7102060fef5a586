"""A server whose process carries a mark that is not its own: forger.py PORT PID HOW. The mark is that of the process
PID, or with 0 one that nobody has. HOW is "stays": the first process goes on until it is asked to end, or
"lost": between it and the server there is one that ends at once."""

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
if how == "lost":
    os.setsid()
    if os.fork() > 0:
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
