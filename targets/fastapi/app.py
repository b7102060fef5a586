"""The lookup with FastAPI and the databases package."""
import asyncio
import json
import os
import random
import string
import time
from contextlib import asynccontextmanager

from databases import Database
from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import URL

ALPHABET = string.ascii_letters + string.digits
LONGEST = 255
NONCE = os.environ.get("BAKEOFF_NONCE") or "pong"
REPLICA = os.environ.get("BAKEOFF_REPLICA")
POOL = int(os.environ["DATABASE_POOL"])
LOOKUP = "SELECT id FROM demo_data WHERE name = :name ORDER BY id LIMIT 1"
DRIVER = os.environ["DATABASE_DRIVER"]
if DRIVER not in ("aiomysql", "asyncmy"):  # databases would silently take aiomysql
    raise ValueError("DATABASE_DRIVER must be aiomysql or asyncmy")

URL_TEXT = URL.create(
    "mysql+" + DRIVER,
    username=os.environ["DATABASE_USER"],
    password=os.environ["DATABASE_PASSWORD"],
    host=os.environ["DATABASE_HOST"],
    port=int(os.environ["DATABASE_PORT"]),
    database=os.environ["DATABASE_NAME"],
).render_as_string(hide_password=False)

database = Database(URL_TEXT, min_size=1, max_size=POOL)


async def sleep_once(source, connected):
    async with source.connection() as connection:
        await connection.fetch_all("SELECT 1")
        await connected.wait()
        began = time.monotonic()
        await connection.fetch_all("SELECT SLEEP(:t)", {"t": 0.2})
        return began, time.monotonic()


async def overlap():
    """Run two sleeping statements at once and return when each began and ended.

    A pool of one connection never has two statements at once; then the same
    driver with a pool of two is asked.
    """
    connected = asyncio.Barrier(2)
    if POOL > 1:
        first, second = await asyncio.gather(*(sleep_once(database, connected) for _ in range(2)))
    else:
        async with Database(URL_TEXT, min_size=1, max_size=2) as source:
            first, second = await asyncio.gather(*(sleep_once(source, connected) for _ in range(2)))
    return {
        "first_began": first[0],
        "first_ended": first[1],
        "second_began": second[0],
        "second_ended": second[1],
    }


@asynccontextmanager
async def lifespan(app):
    await database.connect()
    line = {"pid": os.getpid(), "pool": POOL, "protocol": "text", "overlap": await overlap()}
    os.write(1, ("bakeoff: ready %s\n" % json.dumps(line)).encode())
    yield
    await database.disconnect()


class NameReplica:
    """The middleware that says who has answered, where the replica was given a name."""

    def __init__(self, app):
        self.app = app
        self.header = (b"x-bakeoff-replica", REPLICA.encode())

    async def __call__(self, scope, receive, send):
        async def send_named(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], self.header]
            await send(message)

        await self.app(scope, receive, send_named if scope["type"] == "http" else send)


app = FastAPI(lifespan=lifespan)
if REPLICA:
    app.add_middleware(NameReplica)


@app.get("/demo")
async def demo(name: str | None = None):
    if name is None:
        name = "".join(random.choices(ALPHABET, k=random.randint(1, LONGEST)))
    if not 1 <= len(name) <= LONGEST:
        return JSONResponse({"error": "name must have 1 to 255 characters"}, status_code=400)
    found = await database.fetch_val(LOOKUP, {"name": name})
    return {"name": name, "exists": found is not None, "id": found}


@app.get("/ping")
async def ping():
    return PlainTextResponse(NONCE)
