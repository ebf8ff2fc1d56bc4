"""The peers as those that are measured; test/bench/peers has what they run."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import mails
from world import WORKSPACE, Server, Wrong, cpu_seconds, descendants, status_value

SCRIPTS = pathlib.Path("test/bench/peers")
READY_SECONDS = 60


class Peer:
    """A worker process of its own, with a database of its own."""

    name = ""
    script = ""
    tables = ""
    unfinished = ""
    share = 1               # of the jobs that others get, where it is much slower

    def __init__(self, server, provider):
        self.server = server
        self.provider = provider
        self.processes = []
        self.database = self.name.replace("-", "_")

    def absent(self):
        """Why it cannot run here, or None."""
        if shutil.which("node") is None:
            return "there is no node"
        if not (WORKSPACE / "node_modules" / self.name).is_dir():
            return "npm could not install it"
        return None

    def install(self):
        self.server.sql(f"CREATE DATABASE {self.database}", "postgres")
        self.run("fill", 1)

    def environment(self):
        return {**os.environ, "PGHOST": str(Server.directory), "PGUSER": "postgres",
                "PGDATABASE": self.database, "PGAPPNAME": "peer", "BODIES": str(WORKSPACE / "bodies"),
                "SENDER": mails.FROM, "NODE_ENV": "production"}

    def command(self, *words):
        return ["node", str(SCRIPTS / self.script), *map(str, words)]

    def run(self, *words):
        """A command that ends by itself; what it printed."""
        done = subprocess.run(self.command(*words), env=self.environment(), capture_output=True,
                              text=True, check=False, timeout=600)
        if done.returncode != 0:
            raise Wrong(f"{self.name} {words[0]}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def clear(self):
        self.stop()
        self.server.sql(f"TRUNCATE {self.tables}", self.database)

    def fill(self, jobs, _delay):
        self.run("fill", jobs)
        self.server.sql("VACUUM ANALYZE", self.database)

    def work_commands(self, in_flight, delay):
        """What the worker consists of."""
        return [self.command("work", self.provider.url(delay), in_flight)]

    def log(self):
        return WORKSPACE / f"{self.database}.log"

    def start(self, in_flight, delay):
        with open(self.log(), "w", encoding="utf-8") as log:
            self.processes = [subprocess.Popen(command, env=self.environment(), stdout=log, stderr=log)
                              for command in self.work_commands(in_flight, delay)]

    def ready(self):
        """It waits for mails."""
        deadline = time.monotonic() + READY_SECONDS
        while self.last_words().count("ready") < len(self.processes):
            if time.monotonic() > deadline or not self.alive():
                raise Wrong(f"{self.name} does not start: {self.last_words()}")
            time.sleep(0.05)

    def last_words(self):
        return self.log().read_text(encoding="utf-8", errors="replace")[-1000:]

    def alive(self):
        return all(process.poll() is None for process in self.processes)

    def workers(self):
        return [pid for process in self.processes for pid in (process.pid, *descendants(process.pid))]

    def pids(self):
        """The worker, and what works for it: its sessions at the server."""
        sessions = self.server.sql("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                                   " AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
                                   self.database)
        return self.workers() + [int(pid) for pid in sessions.split()]

    def cpu(self, pids):
        return cpu_seconds(pids)

    def finish(self):
        self.server.until(f"NOT EXISTS ({self.unfinished})", 60, self.database)

    def private_mb(self):
        return sum(status_value(pid, "RssAnon") for pid in self.pids()) / 1024

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def stop_store(self):
        """PostgreSQL is stopped by who started it."""

    def enqueue_rate(self, seconds):
        """Mails a second, one a transaction, in one session."""
        return float(self.run("enqueue", seconds))

    def paced(self, rate, jobs):
        """When each mail was committed, in us, by number."""
        return {int(number): int(at) for number, at in
                (line.split() for line in self.run("paced", rate, jobs).splitlines())}


class GraphileWorker(Peer):
    name = "graphile-worker"
    script = "graphile.mjs"
    tables = queue = "graphile_worker._private_jobs"
    unfinished = "SELECT FROM graphile_worker._private_jobs"

    def fill_noops(self, jobs, _task):
        self.run("noops", jobs)
        self.server.sql("VACUUM ANALYZE", self.database)

    def check_noops(self, jobs):
        """A worker that was told to stop has said how many it ran."""
        self.finish()
        if f"ran {jobs} noops" not in self.last_words().splitlines():
            raise Wrong(f"{self.name} was to run {jobs} tasks: {self.last_words()}")


class PgBoss(Peer):
    name = "pg-boss"
    script = "pgboss.mjs"
    tables = "pgboss.job, pgboss.archive"
    unfinished = "SELECT FROM pgboss.job WHERE name = 'mail' AND state <> 'completed'"


class Celery(Peer):
    """Its queue is in a Redis of its own, which counts as part of it."""

    name = "celery"
    script = "celery_mail.py"
    share = 0.1

    def __init__(self, server, provider):
        super().__init__(server, provider)
        self.redis = None
        self.socket = WORKSPACE / "redis.socket"
        self.delay = 0

    def absent(self):
        if shutil.which("redis-server") is None:
            return "there is no redis-server"
        if subprocess.run(["python3", "-c", "import celery, redis, urllib3"],
                          capture_output=True, check=False).returncode != 0:
            return "there is no python3-celery"
        return None

    def install(self):
        """Redis as it is set up by default, on a socket of ours."""
        self.redis = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--dir", str(WORKSPACE),
             "--logfile", str(WORKSPACE / "redis.log"),
             "--set-proc-title", "no"])     # or script/bench would not find it when it cleans up
        deadline = time.monotonic() + READY_SECONDS
        while not self.socket.exists():
            if time.monotonic() > deadline or self.redis.poll() is not None:
                raise Wrong("redis-server does not start")
            time.sleep(0.05)

    def environment(self):
        return {**super().environment(), "REDIS_SOCKET": str(self.socket),
                "MAIL_URL": self.provider.url(self.delay), "PYTHONPATH": str(SCRIPTS)}

    def command(self, *words):
        return ["python3", str(SCRIPTS / self.script), *map(str, words)]

    def redis_command(self, *words):
        return subprocess.run(["redis-cli", "-s", str(self.socket), *words], capture_output=True,
                              text=True, check=True).stdout.strip()

    def clear(self):
        self.stop()
        self.redis_command("FLUSHALL")

    def fill(self, jobs, _delay):
        self.run("fill", jobs)

    def work_commands(self, in_flight, delay):
        """A process for each core, which share the places in flight."""
        self.delay = delay
        return [["python3", "-m", "celery", "--app", "celery_mail", "worker", "--hostname", f"{number}@bench",
                 "--pool", "threads", "--concurrency", str(in_flight // 2), "--loglevel", "WARNING",
                 "--without-gossip", "--without-mingle", "--without-heartbeat"] for number in (1, 2)]

    def pids(self):
        return [*self.workers(), self.redis.pid]

    def finish(self):
        """A worker that took a mail has sent it; the provider has counted it."""
        deadline = time.monotonic() + READY_SECONDS
        while self.redis_command("LLEN", "celery") != "0" or self.redis_command("HLEN", "unacked") != "0":
            if time.monotonic() > deadline:
                raise Wrong("celery: mails are left in Redis")
            time.sleep(0.05)

    def stop_store(self):
        if self.redis is not None:
            self.redis.kill()
            self.redis.wait()


ALL = (GraphileWorker, PgBoss, Celery)
