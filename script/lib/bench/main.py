"""Measures what is asked for: main.py [--quick] [--list] [NAME...]; see script/bench."""

import sys

from ours import Roleferry
from world import Provider, Server


def drain(subject, server, provider, jobs, delay, in_flight):
    """Jobs a second and CPU s per 1000 jobs, after the first tenth: connections and caches are warm."""
    warm = jobs // 10
    subject.clear()
    subject.fill(jobs, delay)
    server.quiet()
    provider.reset()
    subject.start(in_flight)
    before = provider.wait(warm)
    pids = subject.pids()
    cpu = subject.cpu(pids)
    first = provider.stats()
    last = provider.wait(jobs)
    cpu = subject.cpu(pids) - cpu
    subject.finish()
    provider.check(jobs)
    return {"rate": (last["distinct"] - before["distinct"]) * 1e6 / (last["last_us"] - before["last_us"]),
            "cpu": cpu * 1000 / (last["distinct"] - first["distinct"]),
            "bytes": last["bytes"] / last["requests"]}


def main():
    server = Server()
    provider = Provider()
    ours = Roleferry(server, provider)
    ours.install()
    jobs = 20000 if "--quick" in sys.argv else 100000
    for _ in range(3):
        run = drain(ours, server, provider, jobs, 0, 64)
        print(f"bench: drain_0ms {run['rate']:.0f} jobs/s peer=none", flush=True)
        print(f"bench: cpu_s_per_1000 {run['cpu']:.4f} s peer=none", flush=True)


main()
