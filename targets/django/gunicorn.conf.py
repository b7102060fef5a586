"""Gunicorn's settings: everything comes from the environment."""
import json
import os
import time

bind = "%s:%s" % (os.environ["HOST"], os.environ["PORT"])
workers = int(os.environ["WORKERS"])
worker_class = os.environ.get("WORKER_CLASS", "gevent")
threaded = worker_class == "gthread"
threads = int(os.environ["DATABASE_POOL"]) if threaded else 1
keepalive = int(os.environ["KEEPALIVE"])
graceful_timeout = int(os.environ["GRACEFUL_TIMEOUT"])
accesslog = "-" if os.environ.get("BAKEOFF_ACCESS_LOG") == "1" else None


def post_fork(server, worker):
    """Patch the client library in this worker, before the application is imported."""
    if os.environ.get("GREENIFY") != "0":
        import green

        green.patch()


def post_worker_init(worker):
    """The application is imported: show that statements overlap, then say ready."""
    import app

    if threaded:
        from threaded import overlap
    else:
        from green import overlap

    line = {
        "pid": os.getpid(),
        "pool": app.POOL,
        "protocol": "text",
        "overlap": overlap(app.connect_and_sleep, time.monotonic),
    }
    os.write(1, ("bakeoff: ready %s\n" % json.dumps(line)).encode())
