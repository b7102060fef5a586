"""A target and a database whose limits a test knows.

    server.py database PORT SERIAL_MS DELAY_MS
    server.py target PORT BURN_MS POOL DATABASE_PORT BODY_BYTES

The database answers every line after a time that statements spend one at a time, and one that any number spend at the same time; to
the line "status" it says how many run and how many there were. The target is one process with one thread: it burns processor time
for each request, and asks the database over a pool of connections.
"""

import asyncio
import random
import sys
import time


async def database(serial, delay):
    one = asyncio.Lock()
    running = asked = 0

    async def serve(reader, writer):
        nonlocal running, asked
        while line := await reader.readline():
            if line == b"status\n":
                writer.write(b"%d %d\n" % (running, asked))
                continue
            running, asked = running + 1, asked + 1
            if serial:
                async with one:
                    await asyncio.sleep(serial)
            if delay:
                await asyncio.sleep(delay)
            running -= 1
            writer.write(b"1\n")
        writer.close()

    return serve


def burn(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def target(seconds, pool, port, size):
    free = asyncio.Queue()
    for _ in range(pool if port else 0):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    words = random.Random(1)
    body = bytes(words.choice(b"abcdefgh ") for _ in range(size)) or b"ok"
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def serve(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                burn(seconds)
                if port:
                    held = await free.get()
                    held[1].write(b"ask\n")
                    await held[0].readline()
                    free.put_nowait(held)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return serve


async def main(role, port, *figures):
    figures = [float(f) for f in figures]
    if role == "database":
        serve = await database(figures[0] / 1e3, figures[1] / 1e3)
    else:
        serve = await target(figures[0] / 1e3, int(figures[1]), int(figures[2]), int(figures[3]))
    server = await asyncio.start_server(serve, "127.0.0.1", int(port), backlog=1024)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
