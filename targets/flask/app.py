"""The lookup with Flask and a plain SQLAlchemy engine."""
import os
import random
import string

from flask import Flask, jsonify, request
from sqlalchemy import URL, create_engine, text
from sqlalchemy.pool import NullPool

ALPHABET = string.ascii_letters + string.digits
LONGEST = 255
NONCE = os.environ.get("BAKEOFF_NONCE") or "pong"
REPLICA = os.environ.get("BAKEOFF_REPLICA")
POOL = int(os.environ["DATABASE_POOL"])
LOOKUP = text("SELECT id FROM demo_data WHERE name = :name ORDER BY id LIMIT 1")
DATABASE = URL.create(
    "mysql+mysqldb",
    username=os.environ["DATABASE_USER"],
    password=os.environ["DATABASE_PASSWORD"],
    host=os.environ["DATABASE_HOST"],
    port=int(os.environ["DATABASE_PORT"]),
    database=os.environ["DATABASE_NAME"],
    query={"charset": "utf8mb4"},
)

engine = create_engine(
    DATABASE,
    isolation_level="AUTOCOMMIT",
    skip_autocommit_rollback=True,
    pool_size=POOL,
    max_overflow=0,
    pool_timeout=float(os.environ["POOL_TIMEOUT"]),
)
app = Flask(__name__)

if REPLICA:

    @app.after_request
    def name_replica(response):
        response.headers["X-Bakeoff-Replica"] = REPLICA
        return response


@app.get("/demo")
def demo():
    name = request.args.get("name")
    if name is None:
        name = "".join(random.choices(ALPHABET, k=random.randint(1, LONGEST)))
    if not 1 <= len(name) <= LONGEST:
        return jsonify(error="name must have 1 to 255 characters"), 400
    with engine.connect() as connection:
        found = connection.execute(LOOKUP, {"name": name}).scalar()
    return jsonify(name=name, exists=found is not None, id=found)


@app.get("/ping")
def ping():
    return NONCE, 200, {"Content-Type": "text/plain; charset=utf-8"}


def connect_and_sleep(note):
    """One sleeping statement through the engine that serves requests.

    A pool of one connection never has two statements at once; then the same
    driver without a pool is asked.
    """
    source = engine if POOL > 1 else create_engine(DATABASE, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with source.connect() as connection:
        note()
        connection.execute(text("SELECT SLEEP(:t)"), {"t": 0.2}).fetchall()
        note()
