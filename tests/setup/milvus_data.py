"""Fills a Milvus with two small collections, or tells what is in it.

usage: milvus_data.py seed   PORT [USER:PASSWORD]
       milvus_data.py report PORT [USER:PASSWORD]

Both print JSON: {"collections": {NAME: {"rows": N, "query_ms": M, "search_ms": M}}}. The rows are
those of count(*), since the statistics leave out what is not flushed and still count what is
deleted; the times are the best of five, from here: of the same count without waiting for what is
still being written (which is how falconer counts), and of a search for ten.
"""

import json
import random
import sys
import time

from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections, utility

# Rows to insert and to delete again.
COLLECTIONS = {"products": (3000, 100), "reviews": (1200, 0)}
DIMENSION = 16
INDEX = {"index_type": "IVF_FLAT", "metric_type": "L2", "params": {"nlist": 16}}
ATTEMPTS = 5


def connect(port, credentials):
    options = {"host": "127.0.0.1", "port": port, "timeout": 30}
    if credentials:
        options["user"], options["password"] = credentials.split(":", 1)
    connections.connect("default", **options)


def vectors(count):
    return [[random.random() for _ in range(DIMENSION)] for _ in range(count)]


def seed():
    for name, (rows, deleted) in COLLECTIONS.items():
        if utility.has_collection(name):
            continue
        schema = CollectionSchema(
            [
                FieldSchema("id", DataType.INT64, is_primary=True),
                FieldSchema("vector", DataType.FLOAT_VECTOR, dim=DIMENSION),
            ]
        )
        collection = Collection(name, schema)
        collection.insert([list(range(rows)), vectors(rows)])
        collection.flush()
        collection.create_index("vector", INDEX)
        collection.load()
        if deleted:
            collection.delete(f"id in {list(range(deleted))}")
            collection.flush()


def best_of(action):
    times = []
    for _ in range(ATTEMPTS):
        begun = time.perf_counter()
        answer = action()
        times.append((time.perf_counter() - begun) * 1000)
    return answer, min(times)


def report():
    collections = {}
    for name in sorted(utility.list_collections()):
        collection = Collection(name)
        count = lambda level: collection.query(
            expr="", output_fields=["count(*)"], consistency_level=level, timeout=60
        )
        # The truth waits for everything written; the time is that of falconer's own kind of query.
        counted = count("Strong")
        _, query_ms = best_of(lambda: count("Eventually"))
        wanted = vectors(1)
        _, search_ms = best_of(
            lambda: collection.search(
                wanted, "vector", {"metric_type": "L2", "params": {"nprobe": 4}}, 10, timeout=60
            )
        )
        collections[name] = {
            "rows": counted[0]["count(*)"],
            "query_ms": round(query_ms, 3),
            "search_ms": round(search_ms, 3),
        }
    return {"collections": collections}


def main(arguments):
    if len(arguments) not in (2, 3) or arguments[0] not in ("seed", "report"):
        sys.exit(__doc__)
    connect(arguments[1], arguments[2] if len(arguments) == 3 else None)
    if arguments[0] == "seed":
        seed()
    json.dump(report(), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
