"""Rules, holds, listeners, the journal, start and end."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from selftest_support import (
    Case, HERE, PATIENCE, Simulator, mg_fields, send_mg, send_sg, sg_mail, sg_request, wait_for)


class RuleTest(Case):
    def test_status(self):
        self.sim.rule({"status": 429, "headers": {"Retry-After": "2"}, "body": {"x": 1}},
                      name="slow", count=1)
        response = self.send("rl.429")
        self.assertEqual((response.status, response.headers["Retry-After"], response.body),
                         (429, "2", b'{"x": 1}'))
        self.assertEqual(self.send("rl.429").status, 202)
        self.assertEqual(self.sim.phases("rl.429"),
                         ["body", "refused", "answered", "body", "accepted", "answered"])
        self.assertEqual(self.sim.control("GET", "/rules")[0]["applied"], 1)
        self.assertEqual(self.sim.journal(rf_job="rl.429", phase="refused")[0]["rule"], "slow")

    def test_status_with_accept(self):
        self.sim.rule({"status": 500, "accept": True})
        response = self.send("rl.500")
        self.assertEqual(response.status, 500)
        self.assertIn("errors", json.loads(response.body))
        self.assertEqual(self.accepted("rl.500"), 1)

    def test_wrong_key_is_never_accepted(self):
        self.sim.rule({"status": 500, "accept": True})
        connection = self.sim.http()
        self.assertEqual(send_sg(connection, sg_mail("rl.key"), auth="Bearer x").status, 500)
        connection.close()
        self.assertEqual(self.accepted("rl.key"), 0)

    def test_selection(self):
        self.sim.rule({"status": 451}, match={"rf_job": r"^rl\.a"}, provider="sendgrid")
        self.sim.rule({"status": 452}, match={"to": "@special"}, skip=1, count=1)
        self.sim.rule({"status": 453}, match={"subject": "third"}, every=2)
        self.sim.rule({"status": 454}, provider="mailgun")
        self.sim.rule({"status": 455}, probability=0.0)
        special = [{"to": [{"email": "x@special.org"}]}]
        self.assertEqual(self.send("rl.a1").status, 451)
        self.assertEqual([self.send("rl.b", personalizations=special).status for _ in range(3)],
                         [202, 452, 202])
        self.assertEqual([self.send("rl.c", subject="third").status for _ in range(4)],
                         [453, 202, 453, 202])

    def test_refused_rules(self):
        for spec in ({}, {"action": {}}, {"action": {"stauts": 1}}, {"action": {"hang": "later"}},
                     {"action": {"hang": "body"}, "match": {"rf_job": "x"}},
                     {"action": {"status": 500}, "provider": "nobody"},
                     {"action": {"status": 500}, "match": {"rf_job": "("}},
                     {"action": {"status": 500}, "matches": {}},
                     {"action": {"drip": {"part": "body"}}}, {"action": {"accept": "before"}}):
            self.assertIn("error", self.sim.control("POST", "/rules", spec, expect=400), spec)
        self.sim.rule({"status": 500}, name="one")
        self.sim.rule({"status": 500}, name="one", expect=400)
        self.sim.control("DELETE", "/rules/one")
        self.sim.control("DELETE", "/rules/one", expect=404)
        self.assertEqual(self.sim.control("GET", "/rules"), [])

    def test_delay(self):
        self.sim.rule({"delay": 0.3, "status": 503})
        start = time.monotonic()
        self.assertEqual(self.send("rl.delay").status, 503)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)

    def test_redirect(self):
        self.sim.rule({"redirect": {"status": 307, "location": "file:///etc/passwd"}})
        response = self.send("rl.redirect")
        self.assertEqual((response.status, response.headers["Location"]),
                         (307, "file:///etc/passwd"))
        self.assertEqual(self.accepted("rl.redirect"), 0)

    def test_hold(self):
        self.sim.rule({"hold": "gate"}, match={"rf_job": "hold"})
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.send("rl.hold").status))
        thread.start()
        wait_for(lambda: self.sim.control("GET", "/stats")["held"] == {"gate": 1})
        self.assertEqual(self.sim.phases("rl.hold"), ["body"])
        self.assertEqual(self.sim.stats()["in_progress"], 1)
        self.assertEqual(self.sim.control("POST", "/hold/gate/release"), {"released": 1})
        thread.join()
        self.assertEqual(answers, [202])
        self.assertEqual(self.sim.phases("rl.hold"), ["body", "accepted", "answered"])

    def test_hold_and_leave(self):
        for accept, phases in ((None, ["body", "refused"]), ("before", ["body", "accepted"]),
                               ("end", ["body", "accepted"])):
            self.sim.control("DELETE", "/rules")
            action = {"hold": "gate2"}
            if accept:
                action["accept"] = accept
            self.sim.rule(action)
            job = f"rl.leave.{accept}"
            with self.sim.raw() as tls:
                tls.sendall(sg_request(job))
                wait_for(lambda: self.sim.control("GET", "/stats")["held"] == {"gate2": 1})
                self.assertEqual(self.sim.phases(job), phases if accept == "before" else ["body"])
            wait_for(lambda: not self.sim.control("GET", "/stats")["held"])
            wait_for(lambda: self.sim.phases(job)[:2] == phases)

    def test_duplicates(self):
        self.send("rl.dup")
        self.send("rl.dup")
        connection = self.sim.http("mailgun")
        send_mg(connection, mg_fields("rl.dup"))
        connection.close()
        self.assertEqual(self.sim.stats()["duplicates"]["rl.dup"], 2)
        self.assertEqual(self.sim.control("GET", "/stats")["duplicates"]["rl.dup"], 3)


class ListenerTest(Case):
    def test_refuse_and_listen(self):
        connection = self.sim.http()
        self.assertEqual(send_sg(connection, sg_mail("ls.1")).status, 202)
        self.sim.control("POST", "/listener", {"provider": "sendgrid", "state": "refuse"})
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.sim.port("sendgrid")), PATIENCE)
        self.assertEqual(send_sg(connection, sg_mail("ls.2")).status, 202)
        result = self.sim.control("POST", "/listener",
                                  {"provider": "sendgrid", "state": "listen", "drop": True})
        self.assertEqual((result["listening"], result["dropped"]), (True, 1))
        with self.assertRaises(OSError):
            send_sg(connection, sg_mail("ls.3"))
        connection.close()
        self.assertEqual(self.sim.phases("ls.3"), [])
        self.assertEqual(self.send("ls.4").status, 202)

    def test_many_connections(self):
        connections = []
        for _ in range(100):
            connections.append(self.sim.http())
            connections[-1].connect()
        for number, connection in enumerate(connections):
            self.assertEqual(send_sg(connection, sg_mail(f"ls.many.{number}")).status, 202)
        self.assertGreaterEqual(self.sim.stats()["open_connections"], 100)
        for connection in connections:
            connection.close()

    def test_stats(self):
        self.send("ls.stats")
        stats = self.sim.stats()
        self.assertGreater(stats["requests"], 0)
        self.assertGreater(stats["status"]["202"], 0)
        self.assertGreater(stats["service_ms"]["p99"], 0)
        self.assertEqual(stats["in_progress"], 0)

    def test_journal_since(self):
        first = self.sim.control("GET", "/journal")
        self.send("ls.since")
        rest = self.sim.control("GET", f"/journal?since={first['next']}")
        self.assertIn("ls.since", [line.get("rf_job") for line in rest["lines"]])
        self.assertEqual(rest["next"], first["next"] + len(rest["lines"]))
        self.sim.control("GET", "/nothing", expect=404)


class LifeTest(unittest.TestCase):
    """Start and end; each test has a simulator of its own."""

    def test_restart_continues_the_journal(self):
        with tempfile.TemporaryDirectory() as directory:
            sim = Simulator(directory)
            connection = sim.http()
            send_sg(connection, sg_mail("lf.1"))
            connection.close()
            os.kill(sim.process.pid, signal.SIGKILL)    # durable without a farewell
            sim.stop()
            journal = sim.info["journal"]
            with open(journal, "ab") as file:
                file.write(b'{"torn')
            with open(sim.info["ca"], "rb") as file:
                ca = file.read()
            sim = Simulator(directory, "--no-fsync", "--keep-raw")
            try:
                with open(sim.info["ca"], "rb") as file:
                    self.assertEqual(file.read(), ca)
                connection = sim.http()
                send_sg(connection, sg_mail("lf.1", subject="caf\u00e9"))
                connection.close()
                lines = sim.journal(rf_job="lf.1", phase="accepted")
                self.assertEqual(len(lines), 2)
                self.assertGreater(lines[1]["request"], lines[0]["request"])
                self.assertEqual(sim.stats()["duplicates"], {"lf.1": 2})
                body = sim.journal(rf_job="lf.1", phase="body")[1]
                self.assertEqual(json.loads(base64.b64decode(body["raw_body"]))["subject"],
                                 "caf\u00e9")
                self.assertTrue(base64.b64decode(body["raw_head"]).startswith(b"POST /v3/mail"))
            finally:
                sim.stop()

    def test_stops_with_parent_and_lifetime(self):
        with tempfile.TemporaryDirectory() as directory:
            parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            sim = Simulator(directory, parent=parent.pid)
            parent.communicate(b"\n")
            sim.process.wait(5)
            self.assertIn(b"parent is gone", sim.process.stderr.read())
            sim.stop()
            sim = Simulator(directory, "--lifetime", "0.3")
            sim.process.wait(5)
            self.assertEqual(sim.process.returncode, 0)
            sim.stop()

    def test_lone_surrogates(self):
        sys.path.insert(0, HERE)
        sys.dont_write_bytecode = True
        from journal import encode_line
        for text, expected in (("\udc80x", "\ufffdx"), ("\U0001f4ec", "\U0001f4ec"),
                               ("\\ud800", "\\ud800"), ("\\\udcff", "\\\ufffd")):
            self.assertEqual(json.loads(encode_line({"a": text})), {"a": expected})
