"""Webhooks: what verifying costs, and how many events are taken in."""

import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import os
import subprocess
import time

from world import DATABASE, WORKSPACE, Wrong, percentile

BATCH = 50                      # events in a request of SendGrid's
SECRET = "whsec_bench"


class Signer:
    """SendGrid's signatures, by libcrypto itself: a process for each would be too slow."""

    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("crypto"))
        for name, kind in (("EVP_PKEY_Q_keygen", ctypes.c_void_p), ("EVP_MD_CTX_new", ctypes.c_void_p)):
            getattr(self.lib, name).restype = kind
        self.key = ctypes.c_void_p(self.lib.EVP_PKEY_Q_keygen(None, None, b"EC", b"P-256"))

    def public(self):
        out = ctypes.c_char_p()
        length = self.lib.i2d_PUBKEY(self.key, ctypes.byref(out))
        return base64.b64encode(ctypes.string_at(out, length)).decode()

    def headers(self, body):
        now = str(int(time.time())).encode()
        message = now + body
        context = ctypes.c_void_p(self.lib.EVP_MD_CTX_new())
        out = ctypes.create_string_buffer(200)
        length = ctypes.c_size_t(200)
        self.lib.EVP_DigestSignInit_ex(context, None, b"SHA256", None, None, self.key, None)
        self.lib.EVP_DigestSign(context, out, ctypes.byref(length), message, ctypes.c_size_t(len(message)))
        self.lib.EVP_MD_CTX_free(context)
        return {"X-Twilio-Email-Event-Webhook-Timestamp": now.decode(),
                "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(out.raw[:length.value]).decode()}


class Hooks:
    """A source, its requests, and the runs over them."""

    def __init__(self, server, bench):
        self.server = server
        self.bench = bench
        self.signer = Signer()
        path = WORKSPACE / "secrets" / "bench_hook"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(descriptor, self.signer.public().encode())
        os.close(descriptor)
        server.sql("CREATE EXTENSION IF NOT EXISTS pgcrypto;"
                   "CREATE TABLE IF NOT EXISTS hook_one (headers jsonb, body bytea);"
                   "CREATE TABLE IF NOT EXISTS hook_batch (id bigint PRIMARY KEY, headers jsonb, body bytea);"
                   "CREATE SEQUENCE IF NOT EXISTS hook_next;"
                   "INSERT INTO roleferry.webhook_source (name, scheme, secrets) VALUES ('bench', 'sendgrid', '{bench_hook}')"
                   " ON CONFLICT DO NOTHING")

    def verify(self, scheme, calls, function):
        """Calls a second in one session, over bodies of 2 KB.

        The call depends on n: it would be made once for each body otherwise.
        """
        body = json.dumps([{"event": "delivered", "pad": "x" * 2013}]).encode()
        now = int(time.time())
        if scheme == "stripe":
            mac = hmac.new(SECRET.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
            headers, key = {"Stripe-Signature": f"t={now},v1={mac}"}, SECRET
        else:
            headers, key = self.signer.headers(body), self.signer.public()
        headers |= {"Content-Type": "application/json", "User-Agent": "bench", "Accept": "*/*", "Host": "hooks.example.com"}
        self.server.sql("TRUNCATE hook_one; INSERT INTO hook_one SELECT "
                        f"'{json.dumps(headers)}', '\\x{body.hex()}' FROM generate_series(1, 1000)")
        query = ("SELECT count(*) FROM hook_one o, generate_series(1, %d) n WHERE " % (calls // 1000)) + \
            function.format(scheme=scheme, key=key)
        self.server.sql(query)
        start = time.monotonic()
        if self.server.sql(query) != str(calls // 1000 * 1000):
            raise Wrong("a signature is not good")
        return calls / (time.monotonic() - start)

    def fill(self, requests):
        """Requests of events that were never seen."""
        first = int(self.server.sql("SELECT coalesce(max(id), 0) + 1 FROM hook_batch"))
        rows = []
        for request in range(first, first + requests):
            body = ("[" + ",\r\n".join(json.dumps({
                "email": f"user{request}@example.net", "timestamp": 1700000000 + n, "event": "delivered",
                "smtp-id": f"<{request}.{n}@mg.example.com>", "category": ["bench"],
                "sg_event_id": f"ev{request}x{n}", "sg_message_id": f"m{request}x{n}.filter0001.1-2",
                "response": "250 OK", "n": str(n)}) for n in range(BATCH)) + "]\r\n").encode()
            rows.append(f"{request}\t{json.dumps(self.signer.headers(body))}\t\\\\x{body.hex()}")
        done = subprocess.run(self.server.command(DATABASE) + ["-c", "COPY hook_batch FROM STDIN"],
                              input="\n".join(rows) + "\n", capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Wrong(done.stderr.strip())
        self.server.sql(f"SELECT setval('hook_next', {first}, false)")
        self.server.quiet()
        return first

    def post(self, requests, clients, rate=None):
        """Seconds it took, and how long each request took in ms."""
        script = WORKSPACE / "hook_post.sql"
        script.write_text("SELECT max(http_status) FROM hook_batch b, LATERAL roleferry.webhook_receive('bench', b.headers, b.body)"
                          " WHERE b.id = (SELECT nextval('hook_next'));\n", encoding="ascii")
        log = WORKSPACE / "hook_log"
        for old in WORKSPACE.glob("hook_log*"):
            old.unlink()
        before = self.server.number("SELECT count(*) FROM roleferry.webhook_event WHERE status = 'applied'")
        start = time.monotonic()
        done = subprocess.run(["pgbench", "-n", "-M", "prepared", "-h", str(self.server.directory), "-U", "postgres", "-c", str(clients), "-j", "2",
                               "-t", str(requests // clients), "-f", str(script), "-l", "--log-prefix", str(log)] +
                              (["-R", str(rate)] if rate else []) + [DATABASE], capture_output=True, text=True, check=False)
        took = time.monotonic() - start
        if done.returncode != 0:
            raise Wrong(done.stderr.strip())
        added = self.server.number("SELECT count(*) FROM roleferry.webhook_event WHERE status = 'applied'") - before
        if added != requests // clients * clients * BATCH:
            raise Wrong(f"{added:.0f} events were taken, not {requests * BATCH}")
        times = [int(line.split()[2]) / 1000 for path in WORKSPACE.glob("hook_log*") for line in path.read_text().splitlines()]
        return took, times

    def events(self):
        requests = self.bench.amount(2000, 400)
        self.fill(requests)
        took, _ = self.post(requests, 2)
        return {"webhook_events": requests * BATCH / took}

    def post_p99(self):
        rate = 300
        requests = rate * self.bench.amount(60, 10) // 16 * 16
        self.fill(requests)
        _, times = self.post(requests, 16, rate)
        return {"webhook_post_p99": percentile(times, 0.99)}

    def hmac(self):
        return {"webhook_hmac": self.verify("stripe", self.bench.amount(1000000, 200000),
                "roleferry.verify_signature('{scheme}', '{{{key}}}', o.headers, o.body, CASE WHEN n > 0 THEN '1 day'::interval END)")}

    def hmac_pgcrypto(self):
        return {"webhook_hmac": self.verify("stripe", self.bench.amount(1000000, 200000),
                "length(hmac(o.body, CASE WHEN n > 0 THEN '{key}'::bytea END, 'sha256')) = 32")}

    def ecdsa(self):
        return {"webhook_ecdsa": self.verify("sendgrid", self.bench.amount(50000, 20000),
                "roleferry.verify_signature('{scheme}', '{{{key}}}', o.headers, o.body, CASE WHEN n > 0 THEN '1 day'::interval END)")}
