"""A pre-forking HTTP server: prefork.py PORT WORKERS. The master starts a
worker anew when one dies; workers do not notice that the master is gone."""

import os
import socket
import sys

port, workers = int(sys.argv[1]), int(sys.argv[2])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(64)


def work():
    while True:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.close()


def fork():
    if os.fork() == 0:
        work()


for _ in range(workers):
    fork()
while True:
    os.wait()
    fork()
