"""The proof that statements overlap, for a worker with threads."""
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def overlap(connect_and_sleep, clock):
    """Run two sleeping statements at once and return when each began and ended.

    connect_and_sleep(note) opens a connection, calls note(), runs the
    statement, calls note() again. The first note() waits until both have their
    connection.
    """
    connected = Barrier(2, timeout=30)

    def one():
        times = []

        def note():
            if not times:
                connected.wait()
            times.append(clock())

        connect_and_sleep(note)
        return times

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(one), pool.submit(one)]
        (first_began, first_ended), (second_began, second_ended) = [f.result() for f in both]
    return {
        "first_began": first_began,
        "first_ended": first_ended,
        "second_began": second_began,
        "second_ended": second_ended,
    }
