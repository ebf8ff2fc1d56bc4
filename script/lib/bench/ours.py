"""roleferry as one that is measured."""

import mails
from world import DATABASE, WORKSPACE, Wrong, cpu_seconds, status_value

WORKER = "backend_type LIKE 'roleferry dispatcher%' AND datname = '" + DATABASE + "'"

ENQUEUE = """
SELECT count(roleferry.enqueue_email(
    from_addr   => '{sender}',
    to_addr     => 'lead' || n || '@example.net',
    subject     => 'Hello number ' || n,
    body_html   => b.html,
    accounts    => ARRAY['mock_{delay}'])) AS enqueued
FROM generate_series(1, {jobs}) n JOIN bench.body b ON b.id = n % {bodies}
"""


class Roleferry:
    """The dispatcher of the database; it is paused by deactivate()."""

    name = "roleferry"

    def __init__(self, server, provider):
        self.server = server
        self.provider = provider

    def install(self):
        self.server.sql(f"CREATE DATABASE {DATABASE}", "postgres")
        self.server.sql("CREATE EXTENSION roleferry")
        for delay in self.provider.ports:
            self.server.sql(f"CREATE SERVER mock_{delay} FOREIGN DATA WRAPPER roleferry OPTIONS"
                            f" (provider 'sendgrid', secret 'sendgrid', base_url '{self.provider.url(delay)}')")
        self.install_bodies()
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
        self.server.sql("TRUNCATE roleferry.outbox, roleferry.message, roleferry.dead_letter,"
                        " roleferry.attempt_0, roleferry.attempt_1, roleferry.attempt_2, roleferry.idempotency")

    def fill(self, jobs, delay):
        self.server.sql(ENQUEUE.format(sender=mails.FROM, jobs=jobs, delay=delay, bodies=mails.BODIES))

    def start(self, in_flight):
        self.server.set(max_in_flight=in_flight)
        self.server.sql("SELECT roleferry.activate()")

    def pid(self):
        return int(self.server.sql(f"SELECT pid FROM pg_stat_activity WHERE {WORKER}"))

    def pids(self):
        return [self.pid()]

    def cpu(self, pids):
        return cpu_seconds(pids)

    def finish(self):
        """Every mail is settled as sent."""
        self.server.until("NOT EXISTS (SELECT FROM roleferry.outbox)", 60)
        if self.server.number("SELECT count(*) FROM roleferry.dead_letter") > 0:
            raise Wrong("there are dead letters: " + self.server.sql(
                "SELECT state, reason, count(*) FROM roleferry.dead_letter GROUP BY 1, 2"))

    def private_mb(self):
        return status_value(self.pid(), "RssAnon") / 1024
