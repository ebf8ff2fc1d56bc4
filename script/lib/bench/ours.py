"""roleferry as one that is measured."""

import os
import re
import subprocess

import mails
from world import DATABASE, WORKSPACE, Wrong, cpu_seconds, status_value

NO_CACHE = "-c roleferry.search_fresh=0 -c roleferry.search_stale=0"
WORKER = "backend_type LIKE 'roleferry dispatcher%' AND datname = '" + DATABASE + "'"

MAIL = f"""from_addr => '{mails.FROM}', to_addr => 'lead' || {{n}} || '@example.net',
    subject => 'Hello number ' || {{n}}, accounts => ARRAY['mock_{{delay}}'], body_html => {{html}}"""

FILL = f"""
SELECT count(roleferry.enqueue_email({MAIL.replace("{n}", "n").replace("{html}", "b.html")}{{more}}))
FROM generate_series(1, {{jobs}}) n JOIN bench.body b ON b.id = n % {mails.BODIES}
"""

# Tasks that do nothing: one a transaction, and many.
NOOPS = """
CREATE FUNCTION bench.noop(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n';
SELECT roleferry.register_task('bench.single', 'bench.noop(integer)');
SELECT roleferry.register_task('bench.batch', 'bench.noop(integer)', batch => true)
"""

FILL_NOOPS = """
SELECT count(roleferry.enqueue('{task}', jsonb_build_object('n', n))) FROM generate_series(1, {jobs}) n;
VACUUM ANALYZE roleferry.outbox
"""

# Each task's result is there, once, and is its own argument.
NOOPS_DONE = """
SELECT count(*) = {jobs} AND count(DISTINCT result) = {jobs}
   AND min(result::integer) = 1 AND max(result::integer) = {jobs}
FROM (TABLE roleferry.result_0 UNION ALL TABLE roleferry.result_1 UNION ALL TABLE roleferry.result_2) r
"""

PACED = "SELECT roleferry.enqueue_email(" + MAIL.format(n="$1::integer", delay=0, html="'{html}'") + ")"


class Roleferry:
    """The dispatcher of the database; it is paused by deactivate()."""

    name = "roleferry"
    database = DATABASE
    queue = "roleferry.outbox"
    share = 1

    def __init__(self, server, provider):
        self.server = server
        self.provider = provider
        self.beside = []            # other processes whose CPU time counts
        self.more = ""              # further arguments of each mail of fill()

    def absent(self):
        return None

    def install(self):
        self.server.sql(f"CREATE DATABASE {DATABASE}", "postgres")
        self.server.sql("CREATE EXTENSION roleferry")
        for delay in self.provider.ports:
            self.server.sql(f"CREATE SERVER mock_{delay} FOREIGN DATA WRAPPER roleferry OPTIONS"
                            f" (provider 'sendgrid', secret 'sendgrid', base_url '{self.provider.url(delay)}')")
        if self.has_function("apollo_search"):
            self.server.sql("CREATE SERVER people FOREIGN DATA WRAPPER roleferry OPTIONS"
                            f" (provider 'apollo', secret 'sendgrid', base_url '{self.provider.url(0)}');"
                            # In place of the 100 an hour that hold where nobody says otherwise.
                            "INSERT INTO roleferry.rate_limit (account, max_requests, per)"
                            " VALUES ('people', 100000, '1 second')")
        self.install_bodies()
        self.server.sql(NOOPS)
        self.server.sql("SELECT roleferry.activate(); SELECT roleferry.deactivate()")
        self.server.until(f"EXISTS (SELECT FROM pg_stat_activity WHERE {WORKER})", 30)

    def install_bodies(self):
        file = WORKSPACE / "bodies"
        file.write_text("".join(f"{i}\t{text}\n" for i, text in enumerate(mails.bodies())), encoding="ascii")
        self.server.sql("CREATE SCHEMA bench;"
                        "CREATE TABLE bench.body (id integer PRIMARY KEY, html text NOT NULL);"
                        f"COPY bench.body FROM '{file}'; ANALYZE bench.body")

    def clear(self):
        """Like new, with the dispatcher paused."""
        self.server.sql("SELECT roleferry.deactivate()")
        self.server.until("NOT EXISTS (SELECT FROM roleferry.outbox WHERE claimed_at IS NOT NULL)", 60)
        self.empty("roleferry.outbox, roleferry.message, roleferry.dead_letter,"
                   " roleferry.attempt_0, roleferry.attempt_1, roleferry.attempt_2, roleferry.idempotency,"
                   " roleferry.result_0, roleferry.result_1, roleferry.result_2")

    def empty(self, tables):
        """Paused or not, the dispatcher tidies up once a minute: who meets it there comes again."""
        for attempt in range(3):
            try:
                self.server.sql("TRUNCATE " + tables)
                return
            except Wrong as error:
                if attempt == 2 or "deadlock detected" not in str(error):
                    raise

    def fill(self, jobs, delay, vacuum=True):
        self.server.sql(FILL.format(jobs=jobs, delay=delay, more=self.more))
        if vacuum:
            self.server.sql("VACUUM ANALYZE roleferry.outbox")

    def fill_noops(self, jobs, task):
        self.server.sql(FILL_NOOPS.format(jobs=jobs, task=task))

    def check_noops(self, jobs):
        self.finish()
        if self.server.sql(NOOPS_DONE.format(jobs=jobs)) != "t":
            raise Wrong(f"{jobs} tasks do not have a result each")

    def start(self, in_flight, _delay):
        self.server.set(max_in_flight=in_flight)
        self.server.sql("SELECT roleferry.activate()")

    def ready(self):
        """The dispatcher has noticed; it looks once a second."""
        self.server.until("EXISTS (SELECT FROM roleferry.activation WHERE active)", 10)

    def alive(self):
        return True

    def last_words(self):
        return self.server.sql("SELECT state, account, reason, count(*) FROM roleferry.jobs GROUP BY 1, 2, 3")

    def pid(self):
        return int(self.server.sql(f"SELECT pid FROM pg_stat_activity WHERE {WORKER}"))

    def pids(self):
        return [self.pid(), *self.beside]

    def cpu(self, pids):
        return cpu_seconds(pids)

    def finish(self):
        """Every mail is settled as sent."""
        self.server.until("NOT EXISTS (SELECT FROM roleferry.outbox)", 60)
        if self.server.number("SELECT count(*) FROM roleferry.dead_letter") > 0:
            raise Wrong("there are dead letters: " + self.server.sql(
                "SELECT state, reason, count(*) FROM roleferry.dead_letter GROUP BY 1, 2"))

    def stop(self):
        self.server.sql("SELECT roleferry.deactivate()")

    def stop_store(self):
        """PostgreSQL is stopped by who started it."""

    def restart(self):
        """A dispatcher that has done nothing yet."""
        pid = self.pid()
        self.server.sql(f"SELECT pg_terminate_backend({pid})")
        self.server.until(f"EXISTS (SELECT FROM pg_stat_activity WHERE {WORKER} AND pid <> {pid})", 60)

    def private_mb(self):
        return status_value(self.pid(), "RssAnon") / 1024

    def paced(self, rate, jobs):
        """When each mail was committed, in us, by number."""
        sql = PACED.format(html=mails.bodies()[0])
        done = subprocess.run(
            [str(WORKSPACE / "programs" / "client"), f"host={self.server.directory} user=postgres dbname={DATABASE}",
             str(rate), str(jobs), sql], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Wrong(done.stderr.strip())
        return {int(number): int(at) for number, at in map(str.split, done.stdout.splitlines())}

    def has_function(self, name):
        return self.server.sql("SELECT EXISTS (SELECT FROM pg_proc WHERE proname = '" + name + "'"
                               " AND pronamespace = 'roleferry'::regnamespace)") == "t"

    def make_plain_table(self):
        """A copy of outbox without its trigger; and an INSERT of the row that enqueue_email() writes."""
        options = self.server.sql("SELECT array_to_string(reloptions, ', ') FROM pg_class"
                                  " WHERE oid = 'roleferry.outbox'::regclass")
        self.server.sql("DROP TABLE IF EXISTS bench.plain;"
                        f"CREATE TABLE bench.plain (LIKE roleferry.outbox INCLUDING ALL) WITH ({options})")
        self.clear()
        self.fill(1, 0)
        columns = self.server.sql(
            "SELECT string_agg(format('%I', key), ', ') || '|' || string_agg(quote_nullable(value), ', ')"
            " FROM roleferry.outbox o, jsonb_each_text(to_jsonb(o) - '{id,run_at,created_at,accounts,args}'::text[])"
            " WHERE value IS NOT NULL").split("|")
        accounts, args = self.server.sql("SELECT quote_literal(accounts::text), quote_literal(args::text)"
                                         " FROM roleferry.outbox").split("|")
        self.clear()
        return (f"INSERT INTO bench.plain ({columns[0]}, accounts, args)"
                f" VALUES ({columns[1]}, {accounts}, {args});")

    def enqueue_sql(self):
        return "SELECT roleferry.enqueue_email(" + MAIL.format(
            n="'1'", delay=0, html=f"'{mails.bodies()[1]}'") + ");"

    def pgbench(self, sql, clients, seconds, log=None, cache=True):
        """Transactions a second."""
        file = WORKSPACE / "pgbench.sql"
        file.write_text(sql if sql.startswith("\\set") else sql.replace("\n", " ") + "\n", encoding="ascii")
        command = ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)),
                   "-T", str(seconds), "-f", str(file), "-h", str(self.server.directory), "-U", "postgres"]
        if log is not None:
            command += ["-l", "--log-prefix", str(log)]
        done = subprocess.run([*command, DATABASE], capture_output=True, text=True, check=False,
                              env=os.environ | ({} if cache else {"PGOPTIONS": NO_CACHE}))
        rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.M)
        if done.returncode != 0 or rate is None:
            raise Wrong("pgbench: " + done.stderr.strip()[-500:])
        return float(rate.group(1))
