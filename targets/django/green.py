"""Make the MariaDB client library give way to other greenlets while it waits."""
import gevent
from gevent.event import Event


def library():
    """The path of the client library that MySQLdb has mapped into this process."""
    import MySQLdb._mysql  # noqa: F401 (maps the library)

    with open("/proc/self/maps") as maps:
        for line in maps:
            path = line.split()[-1]
            if "libmariadb.so" in path or "libmysqlclient.so" in path:
                return path
    raise RuntimeError("no MySQL client library is mapped")


def patch():
    import greenify

    greenify.greenify()
    path = library()
    if not greenify.patch_lib(path):
        raise RuntimeError("greenify could not patch %s" % path)


def overlap(connect_and_sleep, clock):
    """Run two sleeping statements at once and return when each began and ended.

    connect_and_sleep(note) opens a connection, calls note(), runs the
    statement, calls note() again. The first note() waits until both have their
    connection. What patch() returned proves nothing; this does.
    """
    connected = []
    go = Event()

    def one():
        times = []

        def note():
            if not times:
                connected.append(None)
                if len(connected) == 2:
                    go.set()
                if not go.wait(timeout=30):
                    raise RuntimeError("the other of two connections did not open")
            times.append(clock())

        connect_and_sleep(note)
        return times

    both = [gevent.spawn(one), gevent.spawn(one)]
    gevent.joinall(both, raise_error=True)
    (first_began, first_ended), (second_began, second_ended) = [g.value for g in both]
    return {
        "first_began": first_began,
        "first_ended": first_ended,
        "second_began": second_began,
        "second_ended": second_ended,
    }
