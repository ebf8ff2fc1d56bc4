"""What is measured with: the throw-away cluster, the provider and the clock of the CPU."""

import os
import pathlib
import re
import select
import socket
import subprocess
import time
from statistics import median

WORKSPACE = pathlib.Path(os.environ.get("RF_WORKSPACE", "."))
TICKS = os.sysconf("SC_CLK_TCK")
DATABASE = "bench"
STALL_SECONDS = 20


class Wrong(Exception):
    """A run that cannot be counted, and why."""


class Server:
    """The cluster, asked through psql."""

    directory = WORKSPACE / "cluster"

    def command(self, database):
        return ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.directory),
                "-U", "postgres", "-d", database]

    def sql(self, text, database=DATABASE):
        """The rows of the last statement, a line each, columns separated by "|"."""
        done = subprocess.run(self.command(database), input=text, capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise Wrong(done.stderr.strip())
        return done.stdout.strip()

    def number(self, text, database=DATABASE):
        return float(self.sql(text, database))

    def set(self, **settings):
        """Settings of ours that a reload changes."""
        for name, value in settings.items():
            self.sql(f"ALTER SYSTEM SET roleferry.{name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")

    def until(self, condition, seconds, database=DATABASE):
        """Waits until the query says so."""
        deadline = time.monotonic() + seconds
        while self.sql(f"SELECT ({condition})", database) != "t":
            if time.monotonic() > deadline:
                raise Wrong(f"after {seconds} s still not: {condition}")
            time.sleep(0.02)

    def quiet(self):
        """No work is left over from the run before."""
        self.sql("CHECKPOINT", "postgres")
        self.until("NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum worker')",
                   120, "postgres")

    def wal_position(self):
        return self.sql("SELECT pg_current_wal_insert_lsn()")


class Provider:
    """The mock provider, through its control port."""

    def __init__(self):
        lines = (WORKSPACE / "ports").read_text(encoding="ascii").split("\n")
        ports = dict(line.split() for line in lines if line)
        self.control = int(ports.pop("control"))
        self.ports = {int(delay): int(port) for delay, port in ports.items()}
        self.pid = int((WORKSPACE / "provider.pid").read_text(encoding="ascii"))

    def url(self, delay):
        return f"http://127.0.0.1:{self.ports[delay]}"

    def ask(self, question, seconds=60):
        with socket.create_connection(("127.0.0.1", self.control), seconds) as connection:
            connection.sendall(question.encode() + b"\n")
            with connection.makefile("r", encoding="ascii") as answer:
                return answer.read()

    @staticmethod
    def parse(line):
        words = line.split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def reset(self):
        self.ask("reset")

    def stats(self):
        return self.parse(self.ask("stats"))

    def wait(self, count, who):
        """The journal's numbers at the moment when that many mails had come."""
        before = -1
        with socket.create_connection(("127.0.0.1", self.control), STALL_SECONDS) as connection:
            connection.sendall(f"wait {count}\n".encode())
            while not select.select([connection], [], [], STALL_SECONDS)[0]:
                now = self.stats()["distinct"]
                if now == before or not who.alive():
                    raise Wrong(f"no mail comes any more after {now} of {count}: {who.last_words()}")
                before = now
            return self.parse(connection.recv(4096).decode())

    def arrivals(self):
        """Time of the first byte of each mail, in microseconds, by number."""
        return {int(number): int(at) for number, at in
                (line.split() for line in self.ask("arrivals").splitlines())}

    def timeline(self):
        """(milliseconds since the first, mails) for each hundredth of a second."""
        return [tuple(map(int, line.split())) for line in self.ask("timeline").splitlines()]

    def check(self, jobs):
        """Each mail came once, and nothing else came."""
        stats = self.stats()
        wrong = {name: stats[name] for name in ("duplicates", "unnamed", "refused") if stats[name] > 0}
        if wrong or stats["distinct"] != jobs:
            raise Wrong(f"of {jobs} mails {stats['distinct']} came, and {wrong}")


def cpu_seconds(pids):
    """CPU time that the processes, and their children that ended, have used so far."""
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICKS


def status_value(pid, name):
    """A number of /proc/PID/status."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise Wrong(f"/proc/{pid}/status has no {name}")


def descendants(pid):
    """Its children, and theirs."""
    found = []
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return found
    for child in map(int, children):
        found += [child, *descendants(child)]
    return found


def percentile(values, share):
    """The value that this share of them does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def flush_ms():
    """How long the disk under the cluster takes to flush a page, median."""
    took = []
    with open(WORKSPACE / "flush", "wb", buffering=0) as file:
        file.write(bytes(8192 * 200))
        for number in range(200):
            file.seek(8192 * number)
            file.write(bytes(8192))
            started = time.monotonic()
            os.fdatasync(file)
            took.append(time.monotonic() - started)
    return median(took) * 1000


def machine():
    """What it runs on, in words."""
    cpu = [line.split(":", 1)[1].strip() for line in
           pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="ascii"))
    return (f"{os.cpu_count()} × {cpu[0] if cpu else 'CPU of unknown name'}, {int(memory.group(1)) / 1048576:.0f} GB,"
            f" Linux {os.uname().release.split('-')[0]}")
