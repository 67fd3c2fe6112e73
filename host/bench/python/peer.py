"""The benchmark's work in Python: `peer.py pool|ray|dask WORKERS TEXT...`.

Prints `ready VERSION` when its workers are warm. Then each line on stdin, `tasks` or `words`, starts one run: 1,000
trivial tasks, added up, or a word count of all texts, merged. For each run it prints the seconds and two numbers: the
samples and hits of the tasks, or the numbers of words and of distinct words.
"""

import collections
import platform
import re
import sys
import time

TASKS = 1000
MASK = (1 << 64) - 1
WORD = re.compile(r"[^\W_]+")


def splitmix64(value):
    z = (value + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


SEED = splitmix64(1)


def sample(number):
    value = splitmix64((SEED + number) & MASK)
    x, y = value >> 33, value & 0x7FFFFFFF
    return 1, int(x * x + y * y < 1 << 62)


def add(samples):
    return tuple(map(sum, zip(*samples)))


def count(path):
    with open(path, encoding="utf-8") as text:
        return collections.Counter(WORD.findall(text.read().lower()))


def merge(counters):
    total = collections.Counter()
    for counter in counters:
        total.update(counter)
    total.most_common(10)
    return total


def pool(workers):
    import multiprocessing

    workers = multiprocessing.get_context("fork").Pool(workers)
    tasks = lambda: add(workers.map(sample, range(TASKS), chunksize=1))
    words = lambda texts: merge(workers.imap_unordered(count, texts))
    return platform.python_version(), tasks, words


def ray(workers):
    import logging

    import ray

    ray.init(
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
    )
    one, piece = ray.remote(sample), ray.remote(count)
    tasks = lambda: add(ray.get([one.remote(number) for number in range(TASKS)]))
    words = lambda texts: merge(ray.get([piece.remote(path) for path in texts]))
    return ray.__version__, tasks, words


def dask(workers):
    import distributed

    cluster = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", silence_logs="ERROR"
    )
    client = distributed.Client(cluster)
    tasks = lambda: add(client.gather(client.map(sample, range(TASKS), pure=False)))
    words = lambda texts: merge(client.gather(client.map(count, texts, pure=False)))
    return distributed.__version__, tasks, words


def main():
    name, workers, *texts = sys.argv[1:]
    version, tasks, words = {"pool": pool, "ray": ray, "dask": dask}[name](int(workers))
    tasks()
    print("ready", version, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        result = tasks() if line.strip() == "tasks" else words(texts)
        took = time.perf_counter() - start
        if line.strip() == "tasks":
            print(took, *result, flush=True)
        else:
            print(took, sum(result.values()), len(result), flush=True)


if __name__ == "__main__":
    main()
