"""What it costs to be watched."""

import socket
import subprocess
import threading

from world import DATABASE, Wrong

# As Prometheus does it each fifteen seconds, and a person with script/top each two.
SCRAPE = """
SET application_name = 'scrape';
SELECT length(roleferry.metrics()), (SELECT count(*) FROM roleferry.top) \\watch 1
"""
SCRAPING = "FROM pg_stat_activity WHERE application_name = 'scrape'"


class Metrics:
    """The same drain with all metrics and without."""

    def __init__(self, bench):
        self.bench = bench
        self.turn = 0

    def on_off(self):
        """A pair: which comes first changes, so that what drifts cancels out."""
        self.turn += 1
        cost = {}
        for on in (True, False) if self.turn % 2 else (False, True):
            cost[on] = self.watched() if on else self.drain()
        return {"cpu_metrics_on_off": (cost[True] / cost[False] - 1) * 100}

    def watched(self):
        """The session that looks counts, too."""
        ours, server = self.bench.ours, self.bench.server
        with Agent() as agent, Scraper(server) as scraper:
            server.set(dogstatsd=agent.target)
            ours.beside = [scraper.pid]
            try:
                cpu = self.drain()
            finally:
                ours.beside = []
                server.set(dogstatsd="")
        if agent.datagrams == 0:
            raise Wrong("no metrics came")
        return cpu

    def drain(self):
        return self.bench.drain(self.bench.ours, 0, 64, ("rate", "cpu"))["cpu"]


class Agent:
    """Reads datagrams, as Datadog's agent does, and forgets them."""

    def __enter__(self):
        self.datagrams = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        return self

    def read(self):
        while self.socket.recv(65536) != b"end":
            self.datagrams += 1

    def __exit__(self, *_):
        host, port = self.target.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.sendto(b"end", (host, int(port)))
        self.thread.join()
        self.socket.close()


class Scraper:
    """A session that asks for all numbers once a second."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.session = subprocess.Popen(self.server.command(DATABASE), stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, text=True)
        self.session.stdin.write(SCRAPE)
        self.session.stdin.close()
        self.server.until(f"EXISTS (SELECT {SCRAPING})", 10)
        self.pid = int(self.server.sql(f"SELECT pid {SCRAPING}"))
        return self

    def __exit__(self, *_):
        self.session.terminate()
        self.session.wait()
