"""A client of the soak: one psql, transaction after transaction, and what it knows of each."""

import random
import select
import subprocess
import threading
import time

NUMBERS = 10_000_000                # of mails and tasks, for each client
PATIENCE_S = 60


class Gone(Exception):
    """The session ended before it answered."""


class Session:
    """A psql that is fed by a pipe and answers with command tags."""

    def __init__(self, directory, role="app"):
        self.process = subprocess.Popen(
            ["psql", "-X", "-A", "-t", "-h", directory, "-U", role, "-d", "postgres"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.buffer = b""
        self.marks = 0

    def run(self, script):
        """All lines that psql prints for it."""
        self.marks += 1
        mark = f"end-{self.marks}"
        try:
            self.process.stdin.write(f"{script}\n\\echo {mark}\n".encode())
            self.process.stdin.flush()
        except OSError as trouble:
            raise Gone from trouble
        return self.read_until(mark)

    def read_until(self, mark):
        lines = []
        deadline = time.monotonic() + PATIENCE_S
        while True:
            while b"\n" not in self.buffer:
                if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                    raise TimeoutError(f"no answer in {PATIENCE_S} s after {lines}")
                piece = self.process.stdout.read1(65536)
                if not piece:
                    raise Gone
                self.buffer += piece
            line, self.buffer = self.buffer.split(b"\n", 1)
            if line.decode() == mark:
                return lines
            lines.append(line.decode())

    def backend(self):
        return int(self.run("SELECT pg_backend_pid();")[0])

    def close(self):
        try:
            self.process.stdin.close()
        except OSError:
            pass                    # what was not read by then
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Client(threading.Thread):
    """Enqueues in every way there is.  committed and rolled_back: what it was told; neither: it cannot know."""

    def __init__(self, number, directory, seed, ended):
        super().__init__(name=f"client {number}")
        self.directory = directory
        self.ended = ended
        self.random = random.Random(f"{seed} client {number}")
        self.next = (number + 1) * NUMBERS
        self.session = None
        self.committed = set()
        self.rolled_back = set()
        self.calls = {}             # of send_email(): number -> status, None when cut off
        self.cancelled = set()
        self.transactions = 0
        self.cut_off = 0
        self.trouble = None
        self.ways = [self.plain, self.bulk, self.savepoints, self.two_phase, self.copy, self.insert,
                     self.tasks, self.keyed, self.call, self.cancel]

    def run(self):
        try:
            while not self.ended.is_set():
                self.one()
                time.sleep(self.random.uniform(0, 0.02))
        except Exception as trouble:  # pylint: disable=broad-except
            self.trouble = f"{self.name}: {trouble!r}"
        finally:
            if self.session is not None:
                self.session.close()

    def one(self):
        try:
            if self.session is None:
                self.session = Session(self.directory)
            self.random.choice(self.ways)()
            self.transactions += 1
        except Gone:
            self.cut_off += 1
            self.session.close()
            self.session = None
            time.sleep(self.random.uniform(0.05, 0.3))

    def take(self, count=1):
        self.next += count
        return list(range(self.next - count, self.next))

    def kind(self):
        return self.random.choice(("once", "once", "least"))

    def finish(self, statements, kept, dropped=()):
        """One transaction, committed or not.  Its last command tag tells."""
        end = self.random.choice(("COMMIT", "COMMIT", "COMMIT", "ROLLBACK"))
        lines = self.session.run(f"BEGIN;\n{statements}\n{end};")
        tags = [line for line in lines if line in ("COMMIT", "ROLLBACK")]
        if not tags:                # the session is another by now
            raise Gone
        if tags[-1] == "COMMIT":
            self.committed.update(kept)
            self.rolled_back.update(dropped)
        else:
            self.rolled_back.update(kept, dropped)

    @staticmethod
    def mail(number, kind):
        return f"INSERT INTO soak.mail VALUES ({number}, '{kind}', soak.enqueue({number}, '{kind}'));"

    def plain(self):
        numbers = self.take(self.random.randint(1, 3))
        self.finish("\n".join(self.mail(n, self.kind()) for n in numbers), numbers)

    def bulk(self):
        numbers = self.take(self.random.randint(10, 40))
        self.finish(f"INSERT INTO soak.mail SELECT n, 'once', soak.enqueue(n, 'once')"
                    f" FROM generate_series({numbers[0]}, {numbers[-1]}) n;", numbers)

    def savepoints(self):
        statements, kept, dropped = [], [], []
        for number in self.take(self.random.randint(2, 6)):
            back = self.random.random() < 0.5
            statements += ["SAVEPOINT s;", self.mail(number, self.kind()),
                           "ROLLBACK TO s;" if back else "RELEASE s;"]
            (dropped if back else kept).append(number)
        self.finish("\n".join(statements), kept, dropped)

    def two_phase(self):
        """Some are left prepared, for whoever resolves them."""
        numbers = self.take(self.random.randint(1, 4))
        name = f"soak {numbers[0]}"
        lines = self.session.run("BEGIN;\n" + "\n".join(self.mail(n, "once") for n in numbers)
                                 + f"\nPREPARE TRANSACTION '{name}';")
        if "PREPARE TRANSACTION" not in lines:
            return
        end = self.random.choice(("COMMIT", "COMMIT", "ROLLBACK", None))
        if end is None:
            return
        if f"{end} PREPARED" in self.session.run(f"{end} PREPARED '{name}';"):
            (self.committed if end == "COMMIT" else self.rolled_back).update(numbers)

    def copy(self):
        numbers = self.take(self.random.randint(5, 20))
        rows = []
        for n in numbers:
            rows.append("send_email\t" + f'{{"from_addr": "sender@mg.example.com", "to_addr": "user{n}@example.net",'
                        f' "subject": "mail {n}", "body_text": "soak", "custom_args": {{"n": "{n}"}}}}')
        self.finish("COPY soak.mail (n, kind) FROM STDIN;\n" + "\n".join(f"{n}\tonce" for n in numbers) + "\n\\.\n"
                    + "COPY roleferry.outbox (task, args) FROM STDIN;\n" + "\n".join(rows) + "\n\\.", numbers)

    def insert(self):
        number, kind = self.take()[0], self.kind()
        delivery = "at_least_once" if kind == "least" else "at_most_once"
        self.finish(f"WITH job AS (INSERT INTO roleferry.outbox (task, args, delivery, max_attempts)"
                    f" VALUES ('send_email', soak.args({number}), '{delivery}', 100) RETURNING id)"
                    f" INSERT INTO soak.mail SELECT {number}, '{kind}', id FROM job;", [number])

    def tasks(self):
        numbers = self.take(self.random.randint(1, 30))
        task = self.random.choice(("soak.work", "soak.batch", "soak.flaky", "soak.chain"))
        span = f"generate_series({numbers[0]}, {numbers[-1]}) n"
        self.finish(f"INSERT INTO soak.task SELECT n, '{task}' FROM {span};\n"
                    f"SELECT count(roleferry.enqueue('{task}', jsonb_build_object('n', n))) FROM {span};", numbers)

    def keyed(self):
        """As one should where a commit may be lost on its way: the same again, with the same key."""
        number = self.take()[0]
        script = (f"INSERT INTO soak.mail VALUES ({number}, 'once', soak.enqueue({number}, 'once', 'key {number}'))"
                  " ON CONFLICT DO NOTHING;")
        while not self.ended.is_set():
            try:
                if self.session is None:
                    self.session = Session(self.directory)
                lines = self.session.run(script)
                if any(line.startswith("INSERT 0") for line in lines):
                    self.committed.add(number)
                    return
            except Gone:
                self.session.close()
                self.session = None
                time.sleep(0.1)

    def call(self):
        """The receipt is all that it learns; there is no transaction to roll back."""
        number = self.take()[0]
        self.calls[number] = None
        lines = self.session.run(
            f"SELECT status FROM roleferry.send_email('sender@mg.example.com', 'user{number}@example.net',"
            f" 'mail {number}', body_text => 'soak', custom_args => '{{\"n\": \"{number}\"}}', timeout => '5 s');")
        if lines:
            self.calls[number] = lines[0]

    def cancel(self):
        """Cancelled in time: it must not go."""
        number = self.take()[0]
        lines = self.session.run(f"INSERT INTO soak.mail VALUES ({number}, 'once',"
                                 f" soak.enqueue({number}, 'once', NULL, now() + interval '0.3 s')) RETURNING job;")
        if not lines or not lines[0].isdigit():
            return
        self.committed.add(number)
        time.sleep(self.random.uniform(0, 0.5))
        if "t" in self.session.run(f"SELECT roleferry.cancel({lines[0]});"):
            self.cancelled.add(number)
