"""Events of mails that were taken, and their signatures."""

import base64
import hashlib
import hmac
import json
import os
import subprocess

from selftest_support import Case, mg_fields, send_mg, send_sg, sg_mail


class EventTest(Case):
    def setUp(self):
        super().setUp()
        for provider in ("sendgrid", "mailgun"):
            self.sim.control("POST", "/events", {"provider": provider})

    def send_to(self, rf_job, address):
        connection = self.sim.http()
        people = [{"to": [{"email": address}]}]
        response = send_sg(connection, sg_mail(rf_job, personalizations=people))
        connection.close()
        return response

    def fetch(self, **wish):
        requests = self.sim.control("POST", "/events", {"provider": "sendgrid", **wish})
        return [(request["headers"], base64.b64decode(request["body"])) for request in requests]

    def test_sendgrid(self):
        message = self.send_to("ev.1", "a@example.net").headers["X-Message-Id"]
        self.send_to("ev.2", "gone@example.net")
        (headers, body), = self.fetch(rules=[{"to": "^gone@", "words": ["bounced"]}])
        events = json.loads(body)
        self.assertEqual([(event["event"], event["email"], event["rf_job"]) for event in events],
                         [("processed", "a@example.net", "ev.1"),
                          ("delivered", "a@example.net", "ev.1"),
                          ("bounce", "gone@example.net", "ev.2")])
        self.assertTrue(events[0]["sg_message_id"].startswith(message + "."))
        self.assertEqual(len({event["sg_event_id"] for event in events}), 3)
        self.assertEqual(self.fetch(), [])
        self.check_signature(headers, body)

    def check_signature(self, headers, body):
        paths = [os.path.join(self.sim.directory, name) for name in ("key.der", "sig.bin")]
        signature = headers["X-Twilio-Email-Event-Webhook-Signature"]
        for path, text in zip(paths, (self.sim.control("GET", "/events")["sendgrid"], signature)):
            with open(path, "wb") as file:
                file.write(base64.b64decode(text))
        stamp = headers["X-Twilio-Email-Event-Webhook-Timestamp"].encode()
        for data, good in ((stamp + body, True), (stamp + body + b" ", False)):
            result = subprocess.run(
                ("openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", paths[0],
                 "-signature", paths[1]), input=data, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, check=False)
            self.assertEqual(result.returncode == 0, good)

    def test_mailgun(self):
        key = self.sim.control("GET", "/events")["mailgun"]
        connection = self.sim.http("mailgun")
        self.assertEqual(send_mg(connection, mg_fields("ev.3")).status, 200)
        connection.close()
        first, second = self.fetch(provider="mailgun")
        for (_, body), name in ((first, "accepted"), (second, "delivered")):
            document = json.loads(body)
            stamp = document["signature"]["timestamp"] + document["signature"]["token"]
            self.assertEqual(document["signature"]["signature"],
                             hmac.new(key.encode(), stamp.encode(), hashlib.sha256).hexdigest())
            self.assertEqual(document["event-data"]["event"], name)
            self.assertEqual(document["event-data"]["user-variables"]["rf_job"], "ev.3")

    def test_only_what_was_taken(self):
        self.sim.rule({"status": 500})
        self.send_to("ev.4", "a@example.net")
        self.assertEqual(self.fetch(), [])
        self.sim.control("DELETE", "/rules")
        self.sim.rule({"status": 500, "accept": True})
        self.send_to("ev.5", "a@example.net")
        self.assertEqual(len(self.fetch()), 1)

    def test_refused(self):
        for wish in ({"provider": "apollo"}, {"provider": "sendgrid", "words": ["eaten"]}):
            self.sim.control("POST", "/events", wish, expect=400)
