"""What goes wrong in a soak: every few seconds one of these."""

import os
import random
import signal
import subprocess
import threading
import time

from demo_world import DatabaseDown

PAUSE_S = (0.5, 3)
CLIENTS = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
OURS = "backend_type LIKE 'roleferry%'"
DISPATCHER = "backend_type = 'roleferry dispatcher'"
EXECUTOR = "backend_type = 'roleferry executor'"
# Where a process can be made to die.
POINTS = ("before_claim", "before_claim_commit", "after_claim_commit", "before_transfer", "before_record", "in_record",
          "after_record", "task_before_run", "task_after_run", "task_before_record", "task_before_commit",
          "task_after_commit", "executor_start")
ANSWERS = ({"status": 500}, {"status": 502}, {"status": 503, "headers": {"Retry-After": "1"}}, {"status": 429},
           {"hang": "before_status"}, {"hang": "after_status"}, {"reset": "after_read"}, {"reset": "mid_answer"},
           {"close": "after_read"}, {"garbage": "not_http"}, {"garbage": "html"}, {"status": 500, "accept": True},
           {"delay": 1}, {"drip": {"part": "headers", "bytes_per_s": 20}})
EARLY = ({"reset": "accept"}, {"reset": "before_read"}, {"reset": "mid_body"}, {"hang": "headers"})
TABLES = ("outbox", "outbox", "outbox", "message", "dead_letter", "result_0", "attempt_0", "activation")
SETTINGS = {"max_in_flight": (1, 8, 64), "breaker_failures": (3, 1000), "sweep_interval": ("'500ms'", "'2s'"),
            "max_executors": (0, 1, 4), "executor_idle_timeout": ("0", "'5s'")}


class Faults(threading.Thread):
    """Draws and makes them until it is told to end; then everything is well again."""

    def __init__(self, database, providers, data, seed, say):
        super().__init__(name="faults")
        self.database = database
        self.providers = providers
        self.data = data            # the cluster's directory
        self.random = random.Random(f"{seed} faults")
        self.say = say
        self.over = threading.Event()
        self.made = 0
        self.locks = []
        self.trouble = None
        self.kinds = [self.kill_dispatcher, self.kill_executor, self.kill_backend, self.restart, self.fault_point,
                      self.fault_point, self.answers, self.answers, self.answers, self.early, self.refuse, self.reload,
                      self.terminate, self.terminate, self.stop_for_a_while, self.lock, self.wrong_key,
                      self.old_snapshot]

    def run(self):
        try:
            while not self.over.wait(self.random.uniform(*PAUSE_S)):
                self.make(self.random.choice(self.kinds))
                self.resolve()
            self.mend()
        except Exception as trouble:  # pylint: disable=broad-except
            self.trouble = f"faults: {trouble!r}"

    def make(self, fault):
        try:
            self.say(fault.__name__, fault() or "")
            self.made += 1
        except DatabaseDown as down:
            self.say(fault.__name__, f"- the server is away: {str(down).splitlines()[-1]}")
        except ProcessLookupError:
            self.say(fault.__name__, "- it was gone")

    def resolve(self):
        """What clients have left prepared, some of them for ever."""
        try:
            for name, in self.database.rows("SELECT gid FROM pg_prepared_xacts WHERE prepared < now() - interval '3 s'"):
                self.database.rows(f"{self.random.choice(('COMMIT', 'ROLLBACK'))} PREPARED '{name}'")
        except DatabaseDown:
            pass                    # or its client was quicker: the next time

    def mend(self):
        self.providers.behave()
        for provider in ("sendgrid", "mailgun"):
            self.providers.accept_connections(provider)
        for session in self.locks:
            session.wait()

    def pick(self, which):
        """A process of the server, or 0."""
        rows = self.database.rows(f"SELECT pid FROM pg_stat_activity WHERE {which} ORDER BY pid")
        return int(self.random.choice(rows)[0]) if rows else 0

    def signal(self, which, number):
        pid = self.pick(which)
        if pid:
            os.kill(pid, number)
        return f"{pid}"

    def kill_dispatcher(self):
        return self.signal(DISPATCHER, signal.SIGKILL)

    def kill_executor(self):
        return self.signal(EXECUTOR, signal.SIGKILL)

    def kill_backend(self):
        return self.signal(CLIENTS, signal.SIGKILL)

    def restart(self):
        mode = self.random.choice(("immediate", "immediate", "fast"))
        control = ["pg_ctl", "-s", "-w", "-t", "120", "-D", os.path.join(self.data, "data")]
        # A fast stop that meets PostgreSQL in its recovery from a crash can wait for ever for the checkpointer.
        if subprocess.run([*control, "-t", "20", "-m", mode, "stop"], stderr=subprocess.DEVNULL, check=False).returncode:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True)
        time.sleep(self.random.uniform(0, 0.5))
        subprocess.run([*control, "-l", os.path.join(self.data, "server.log"), "start"], check=True)
        return mode

    def fault_point(self):
        point, skip = self.random.choice(POINTS), self.random.choice((0, 0, 3, 20))
        self.database.rows(f"SELECT public.regress_fault('{point}', 'kill', {skip}, 1)")
        return f"{point} after {skip}"

    def answers(self):
        provider, action = self.random.choice(("sendgrid", "mailgun")), self.random.choice(ANSWERS)
        self.providers.misbehave(provider, action, count=self.random.choice((1, 5, 20)),
                                 probability=self.random.choice((0.2, 1)))
        return f"{provider} {action}"

    def early(self):
        provider, action = self.random.choice(("sendgrid", "mailgun")), self.random.choice(EARLY)
        self.providers.misbehave(provider, action, count=self.random.choice((1, 5)))
        return f"{provider} {action}"

    def refuse(self):
        provider = self.random.choice(("sendgrid", "mailgun"))
        self.providers.refuse_connections(provider)
        time.sleep(self.random.uniform(0.1, 1.5))
        self.providers.accept_connections(provider)
        return provider

    def reload(self):
        name = self.random.choice(sorted(SETTINGS))
        value = self.random.choice(SETTINGS[name])
        self.database.rows(f"ALTER SYSTEM SET roleferry.{name} = {value}")
        self.database.rows("SELECT pg_reload_conf()")
        return f"{name} = {value}"

    def terminate(self):
        which = self.random.choice((OURS, DISPATCHER, EXECUTOR, CLIENTS))
        pid = self.pick(which)
        self.database.rows(f"SELECT pg_terminate_backend({pid})")
        return f"{pid} ({which})"

    def stop_for_a_while(self):
        pid = self.pick(OURS)
        if pid:
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(self.random.uniform(0.2, 3))
            finally:
                os.kill(pid, signal.SIGCONT)
        return f"{pid}"

    def hold(self, script):
        """A session that keeps something for a while; it may be killed."""
        command = ["psql", "-X", "-q", "-h", self.database.directory, "-U", "postgres", "-d", "postgres", "-c", script]
        self.locks.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def lock(self):
        table = self.random.choice(TABLES)
        mode = self.random.choice(("ACCESS EXCLUSIVE", "SHARE"))
        self.hold(f"BEGIN; LOCK TABLE roleferry.{table} IN {mode} MODE;"
                  f" SELECT pg_sleep({self.random.uniform(0.2, 4):.1f}); COMMIT")
        return f"{table} {mode}"

    def old_snapshot(self):
        self.hold("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM roleferry.outbox; SELECT pg_sleep(5); COMMIT")

    def wrong_key(self):
        """For a second; in place of the file as a person would do it."""
        name = self.random.choice(("sendgrid", "mailgun"))
        path = os.path.join(os.environ["RF_WORKSPACE"], "secrets", name)
        with open(path, encoding="ascii") as file:
            right = file.read()
        replace(path, "wrong")
        time.sleep(self.random.uniform(0.2, 1.5))
        replace(path, right)
        return name


def replace(path, text):
    with open(f"{path}.new", "w", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    os.rename(f"{path}.new", path)
