"""Time per trivial task of Ray, Dask and HyperQueue, each with two worker processes on this machine.

Submits N tasks at once and waits for all results, after a warm-up. Prints one line of JSON for each measurement:
`{"peer": …, "version": …, "work": …, "tasks": N, "rounds": R, "seconds": S, "micros_a_task": …}`, where S is the median
of the rounds, or `{"peer": …, "skipped": "why"}`.

Each peer runs in Linux namespaces of its own (`unshare`), with a network that has only loopback: Ray and HyperQueue
would listen on all addresses. When its first process ends, the kernel ends all others and frees their shared memory.
All files are in a temporary folder.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

WORKERS = 2
# After these seconds, a measurement starts no further round.
ROUNDS_SECONDS = 25
# After these seconds, a peer is killed.
PEER_SECONDS = 75
# The last peers get fewer, so that the script takes at most these.
ALL_SECONDS = 170
# HyperQueue starts a process for each task, so it gets fewer of them.
HYPERQUEUE_TASKS = 2000
POLL_SECONDS = 0.005
NAMESPACES = ["--user", "--map-root-user", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


def number(value):
    """Returns its argument: the trivial task."""
    return value


def measure(peer, version, work, tasks, rounds, run):
    """Prints the median time of `run(tasks)` over the rounds."""
    for _ in range(2):
        run(max(tasks // 10, 1))
    times = []
    while not times or (len(times) < rounds and sum(times) < ROUNDS_SECONDS):
        start = time.perf_counter()
        run(tasks)
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    figures = {"tasks": tasks, "rounds": len(times), "seconds": round(seconds, 4)}
    figures["micros_a_task"] = round(seconds / tasks * 1e6, 1)
    print(json.dumps({"peer": peer, "version": version, "work": work, **figures}), flush=True)


def check(results):
    """Fails unless the results are 0, 1, 2 and so on."""
    if results != list(range(len(results))):
        raise RuntimeError("wrong results")


def ray(tasks, rounds):
    """Measures Ray: remote calls of a Python function."""
    import ray

    ray.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100_000_000,
        _node_ip_address="127.0.0.1",
        _temp_dir=tempfile.gettempdir(),
    )
    remote = ray.remote(number)

    def run(count):
        check(ray.get([remote.remote(value) for value in range(count)]))

    measure("ray", ray.__version__, "Python function, remote() and get()", tasks, rounds, run)
    ray.shutdown()


def dask(tasks, rounds):
    """Measures Dask: a mapped Python function whose results are never reused.

    First with the default, a scheduler that queues tasks until a worker is free, then without this queue.
    """
    import dask
    import distributed

    work = "Python function, map() and gather()"
    for peer, saturation, queued in (("dask", 1.1, "(the default)"), ("dask-unqueued", float("inf"), "")):
        settings = dask.config.set({"distributed.scheduler.worker-saturation": saturation})
        cluster = distributed.LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs="ERROR",
        )
        with settings, cluster, distributed.Client(cluster) as client:

            def run(count, client=client):
                check(client.gather(client.map(number, range(count), pure=False)))

            what = f"{work}, worker-saturation {saturation} {queued}".strip()
            measure(peer, distributed.__version__, what, tasks, rounds, run)


class Pending(Exception):
    """A job of HyperQueue has not finished."""


def hyperqueue(tasks, rounds):
    """Measures HyperQueue: processes of `true`, without and with files for their output."""
    from hyperqueue import Job
    from hyperqueue.cluster import LocalCluster
    from hyperqueue.ffi import get_version

    program = shutil.which("true")
    tasks = min(tasks, HYPERQUEUE_TASKS)
    server = tempfile.mkdtemp(prefix="server-")

    def finished(jobs):
        if not all(job["completed"] for job in jobs.values()):
            raise Pending

    def wait(client, job):
        # `Client.wait_for_jobs` looks once a second. An exception of its callback ends the wait.
        while True:
            try:
                return client.connection.wait_for_jobs([job.id], finished)
            except Pending:
                time.sleep(POLL_SECONDS)

    def run(count, output):
        job = Job()
        for _ in range(count):
            job.program([program], **output)
        if wait(client, client.submit(job)):
            raise RuntimeError("tasks failed")

    with LocalCluster(server) as cluster, contextlib.ExitStack() as workers:
        for _ in range(WORKERS):
            worker = [sys.executable, __file__, "--hyperqueue-worker", server]
            worker = workers.enter_context(subprocess.Popen(worker, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            if b"ready\n" not in worker.stdout:
                raise RuntimeError("a worker did not start")
        client, version = cluster.client(), get_version().removeprefix("v")
        for peer, work, output in (
            ("hyperqueue", f"process {program}, output discarded", {"stdout": None, "stderr": None}),
            ("hyperqueue-files", f"process {program}, output in two files (the default)", {}),
        ):
            measure(peer, version, work, tasks, rounds, lambda count, output=output: run(count, output))


def hyperqueue_worker(server):
    """Runs a worker of HyperQueue in this process until stdin ends.

    The Python package starts workers only as threads beside a server. This process has such a server, which gets no
    jobs: its worker finds the other server by a link.
    """
    from hyperqueue.cluster import LocalCluster, WorkerConfig

    own = pathlib.Path(tempfile.mkdtemp(prefix="worker-"))
    cluster = LocalCluster(str(own))
    (own / "hq-current").unlink()
    (own / "hq-current").symlink_to(pathlib.Path(server, "hq-current"))
    cluster.start_worker(WorkerConfig(cores=1))
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)


PEERS = {"ray": ray, "dask": dask, "hyperqueue": hyperqueue}


def enter_namespaces():
    """Prepares the namespaces: a host `localhost` with loopback and empty shared memory.

    The end of stdin ends everything in them.
    """
    if os.getpid() != 1:
        raise RuntimeError("--inside is only for the script itself")
    socket.sethostname("localhost")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"], check=True)

    def watch():
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def start(peer, options, seconds):
    """Runs a peer in its namespaces and temporary folder. Returns its lines and, if it failed, why."""
    with tempfile.TemporaryDirectory(prefix="tasks-", ignore_cleanup_errors=True) as folder:
        command = ["unshare", *NAMESPACES, sys.executable, os.path.abspath(__file__), "--inside", "--peers", peer]
        command += ["--tasks", str(options.tasks), "--rounds", str(options.rounds)]
        environment = {**os.environ, "HOME": folder, "TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"}
        log = pathlib.Path(folder, "log")
        pipe = subprocess.PIPE
        with (
            log.open("wb") as errors,
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, env=environment, cwd=folder) as process,
        ):
            why = None
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                why = f"took longer than {seconds:.0f} seconds"
            finally:
                process.kill()
                # Ends when the processes of the namespace have ended.
                output = process.stdout.read().decode()
        if process.returncode != 0:
            why = why or (log.read_text(errors="replace").splitlines() or ["ended without a message"])[-1]
        return [line for line in output.splitlines() if line.startswith("{")], why


def main():
    """Reads the arguments and runs the peers, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=5000, help=f"HyperQueue gets at most {HYPERQUEUE_TASKS}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=lambda names: names.split(","), default=list(PEERS))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--hyperqueue-worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hyperqueue_worker:
        return hyperqueue_worker(options.hyperqueue_worker)
    if options.inside:
        enter_namespaces()
        return PEERS[options.peers[0]](options.tasks, options.rounds)
    if unknown := set(options.peers) - set(PEERS):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))} (known: {', '.join(PEERS)})")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    end = time.monotonic() + ALL_SECONDS
    for peer in options.peers:
        try:
            lines, why = start(peer, options, min(PEER_SECONDS, max(end - time.monotonic(), 0)))
        except FileNotFoundError as error:
            lines, why = [], f"{error} (install util-linux)"
        for line in lines + ([json.dumps({"peer": peer, "skipped": why})] if why else []):
            print(line, flush=True)


if __name__ == "__main__":
    main()
