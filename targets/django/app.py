"""The lookup through Django's ORM: one file, no middlewares."""
import os
import random
import string

import django
from django.conf import settings

POOL_SIZE = int(os.environ["DATABASE_POOL"])
BOUND = os.environ.get("DATABASE_BOUND", "")
if BOUND not in ("", "semaphore"):
    raise ValueError("DATABASE_BOUND must be empty or semaphore")
POOL = POOL_SIZE if BOUND else 0  # 0: as many connections as requests in flight

settings.configure(
    SECRET_KEY="no secret: nothing is signed",
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="app",
    MIDDLEWARE=[],
    INSTALLED_APPS=[],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.mysql",
            "HOST": os.environ["DATABASE_HOST"],
            "PORT": os.environ["DATABASE_PORT"],
            "USER": os.environ["DATABASE_USER"],
            "PASSWORD": os.environ["DATABASE_PASSWORD"],
            "NAME": os.environ["DATABASE_NAME"],
            "CONN_MAX_AGE": int(os.environ["CONN_MAX_AGE"]),
            "OPTIONS": {"charset": "utf8mb4"},
        }
    },
    LOGGING={  # errors go to the log instead of to administrators by mail
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR", "propagate": False}},
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 (needs the settings)
from django.db import connection, models  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.http import require_GET  # noqa: E402

ALPHABET = string.ascii_letters + string.digits
LONGEST = 255
NONCE = os.environ.get("BAKEOFF_NONCE") or "pong"
REPLICA = os.environ.get("BAKEOFF_REPLICA")


class DemoData(models.Model):
    name = models.CharField(max_length=LONGEST)
    create_time = models.DateTimeField()
    update_time = models.DateTimeField()

    class Meta:
        app_label = "demo"
        db_table = "demo_data"
        managed = False


@require_GET
def demo(request):
    name = request.GET.get("name")
    if name is None:
        name = "".join(random.choices(ALPHABET, k=random.randint(1, LONGEST)))
    if not 1 <= len(name) <= LONGEST:
        return JsonResponse({"error": "name must have 1 to 255 characters"}, status=400)
    found = DemoData.objects.filter(name=name).order_by("id").values_list("id", flat=True).first()
    return JsonResponse({"name": name, "exists": found is not None, "id": found})


@require_GET
def ping(request):
    return HttpResponse(NONCE, content_type="text/plain; charset=utf-8")


urlpatterns = [path("demo", demo), path("ping", ping)]


def connect_and_sleep(note):
    """One sleeping statement on a connection of its own, as a request would have it."""
    try:
        with connection.cursor() as cursor:
            note()
            cursor.execute("SELECT SLEEP(%s)", [0.2])
            cursor.fetchall()
            note()
    finally:
        connection.close()


class Bounded:
    """At most size requests in the application at once, so at most size connections.

    A place is given back when the server closes the answer: that is when
    Django closes the request's connection.
    """

    def __init__(self, wsgi, size):
        from gevent.lock import BoundedSemaphore

        self.wsgi = wsgi
        self.places = BoundedSemaphore(size)

    def __call__(self, environ, start_response):
        self.places.acquire()
        try:
            return Answer(self.wsgi(environ, start_response), self.places)
        except BaseException:
            self.places.release()
            raise


class Answer:
    """A WSGI answer that gives its place back when it is closed."""

    def __init__(self, answer, places):
        self.answer = answer
        self.places = places

    def __iter__(self):
        return iter(self.answer)

    def close(self):
        places, self.places = self.places, None
        if places is None:
            return
        try:
            if hasattr(self.answer, "close"):
                self.answer.close()
        finally:
            places.release()


def naming(wsgi, replica):
    """Has every answer say which replica gave it."""

    def named(environ, start_response):
        def start_named(status, headers, *rest):
            return start_response(status, [*headers, ("X-Bakeoff-Replica", replica)], *rest)

        return wsgi(environ, start_named)

    return named


application = get_wsgi_application()
if REPLICA:
    application = naming(application, REPLICA)
if BOUND:
    application = Bounded(application, POOL_SIZE)
