"""Apollo, NeverBounce and Hunter: what they answer, charge and refuse."""

import json
import tempfile
import unittest.mock

from selftest_support import Case, Simulator, finish, wait_for
from windows import Windows

SEARCH = "/api/v1/mixed_people/api_search"
MATCH = "/api/v1/people/bulk_match"
AP_KEY = {"x-api-key": "ap-test-key"}


def ask(connection, path, document=None, headers=(), method="POST"):
    """The response, with its JSON in `json` where it is some."""
    body = None if document is None else json.dumps(document)
    connection.request(method, path, body, {"Content-Type": "application/json", **dict(headers)})
    response = finish(connection)
    try:
        response.json = json.loads(response.body)
    except ValueError:
        response.json = None
    return response


class LookupCase(Case):
    provider = None

    def setUp(self):
        super().setUp()
        self.connection = self.sim.http(self.provider)
        self.addCleanup(self.connection.close)

    def last(self, call, phase="accepted"):
        return self.sim.journal(provider=self.provider, phase=phase, call=call)[-1]

    def credits(self):
        return self.sim.stats(self.provider)["credits"]


class ApolloTest(LookupCase):
    provider = "apollo"

    def search(self, **query):
        return ask(self.connection, SEARCH, query, AP_KEY)

    def test_search(self):
        before = self.credits()
        response = self.search(q_organization_domains_list=["p12.example.com"], per_page=5, page=3)
        self.assertEqual((response.status, response.json["total_entries"]), (200, 12))
        people = response.json["people"]
        self.assertEqual(len(people), 2)
        self.assertEqual(people[0]["organization"]["name"], "Example")
        for name in ("email", "last_name", "name", "linkedin_url"):
            self.assertNotIn(name, people[0])
        self.assertEqual(self.credits(), before)
        line = self.last("api_search")
        self.assertEqual((line["credits"], line["to"]), (0, ["p12.example.com"]))

    def test_filters(self):
        acme = {"q_organization_domains_list": ["acme.com"], "per_page": 100}
        some = self.search(person_titles=["cto"], **acme).json["people"]
        self.assertEqual({person["title"] for person in some}, {"CTO"})
        self.assertEqual(self.search(person_titles=["astronaut"], **acme).json["people"], [])
        self.assertEqual(self.search(q_organization_domains_list=["p0.example.com"]).json["people"], [])
        strangers = self.search(organization_domains=["acme.com"]).json
        self.assertGreater(strangers["total_entries"], 10 ** 8)
        self.assertEqual(len({person["organization"]["name"] for person in strangers["people"]}), 10)
        mixed = self.search(q_organization_domains_list=["mixed.example.com"], per_page=100).json
        self.assertEqual({person["organization"]["name"] for person in mixed["people"]},
                         {"Example", "Stranger Works"})

    def test_enrichment(self):
        found = self.search(q_organization_domains_list=["acme.com"], per_page=10).json["people"]
        before = self.credits()
        details = [{"id": person["id"]} for person in found[:9]] + [{"id": "nobody"}]
        response = ask(self.connection, MATCH, {"details": details}, AP_KEY)
        matches = response.json["matches"]
        self.assertEqual([match is None for match in matches], [False] * 8 + [True] * 2)
        self.assertEqual(matches[7]["email_status"], "unverified")
        self.assertTrue(matches[0]["email"].endswith("@acme.com"))
        self.assertEqual(matches[0]["organization"]["primary_domain"], "acme.com")
        self.assertEqual((response.json["credits_consumed"], response.json["missing_records"]), (8, 2))
        self.assertGreater(response.json["request_id"], 2 ** 53)
        self.assertEqual(self.credits(), before + 8)
        self.assertEqual(self.last("bulk_match")["credits"], 8)
        for details, code in (([], "INVALID_REQUEST"), ([{}] * 11, "RECORD_LIMIT_EXCEEDED")):
            response = ask(self.connection, MATCH, {"details": details}, AP_KEY)
            self.assertEqual((response.status, response.json["error_code"]), (400, code))

    def test_legacy(self):
        query = {"api_key": "ap-test-key", "organization_domains": ["acme.com"], "per_page": 10}
        response = ask(self.connection, "/v1/mixed_people/search", query)
        people = response.json["people"]
        self.assertEqual(response.json["pagination"]["total_entries"], 25)
        self.assertTrue(people[0]["email"].endswith("@acme.com"))
        self.assertIsNone(people[9]["email"])
        self.assertEqual(ask(self.connection, "/v1/mixed_people/search", {}, AP_KEY).status, 401)

    def test_refusals(self):
        response = ask(self.connection, SEARCH, {})
        self.assertEqual((response.status, response.headers["Content-Type"]), (401, "text/plain"))
        self.assertIn(b"Invalid API key", response.body)
        self.assertEqual(self.search(page=501).status, 422)
        self.assertEqual(self.search(per_page=101).status, 422)
        self.assertEqual(self.search(q_organization_domains_list=["www/x"]).status, 422)
        self.assertEqual(ask(self.connection, "/api/v1/other", {}, AP_KEY).status, 404)
        self.sim.rule({"status": 403}, provider="apollo", match={"call": "api_search"})
        self.assertEqual(self.search().json["error_code"], "API_INACCESSIBLE")

    def test_lost_answer_is_charged(self):
        found = self.search(q_organization_domains_list=["lost.example.com"], per_page=2).json["people"]
        before = self.credits()
        self.sim.rule({"reset": "after_read"}, provider="apollo", match={"call": "bulk_match"})
        with self.assertRaises(OSError):
            ask(self.connection, MATCH, {"details": [{"id": person["id"]} for person in found]}, AP_KEY)
        self.assertEqual(self.credits(), before + 2)
        self.sim.control("DELETE", "/rules")
        self.sim.rule({"status": 503}, provider="apollo", match={"call": "bulk_match"})
        ask(self.connection, MATCH, {"details": [{"id": found[0]["id"]}]}, AP_KEY)
        self.assertEqual(self.credits(), before + 2)

    def test_unlimited_windows(self):
        response = self.search()
        self.assertEqual(response.headers["x-rate-limit-minute"], "")
        self.assertEqual(response.headers["x-24-hour-requests-left"], "")

    def test_limits(self):
        with tempfile.TemporaryDirectory() as directory:
            sim = Simulator(directory, "--apollo-limit", "3600=2", "--credits", "1")
            self.addCleanup(sim.stop)
            connection = sim.http("apollo")
            self.addCleanup(connection.close)
            query = {"q_organization_domains_list": ["acme.com"], "per_page": 2}
            first = ask(connection, SEARCH, query, AP_KEY)
            self.assertEqual((first.headers["x-rate-limit-hourly"], first.headers["x-hourly-usage"],
                              first.headers["x-hourly-requests-left"]), ("2", "1", "1"))
            ask(connection, SEARCH, query, AP_KEY)
            response = ask(connection, SEARCH, query, AP_KEY)
            self.assertEqual(response.status, 429)
            self.assertIn("2 times per hour", json.loads(response.json["message"])["message"])
            self.assertTrue(3500 < int(response.headers["Retry-After"]) <= 3600)
            details = [{"id": person["id"]} for person in first.json["people"]]
            response = ask(connection, MATCH, {"details": details}, AP_KEY)
            self.assertEqual(response.status, 422)
            self.assertIn("insufficient credits", response.json["error"])

    def test_window_arithmetic(self):
        clock = unittest.mock.Mock(return_value=0.0)
        windows = Windows({20: 2}, clock)
        windows.count("a")
        clock.return_value = 5.0
        windows.count("a")
        self.assertEqual(windows.blocked_for("a"), 15)
        self.assertEqual(windows.blocked_for("b"), 0)
        clock.return_value = 20.0
        self.assertEqual(windows.blocked_for("a"), 0)


class NeverBounceTest(LookupCase):
    provider = "neverbounce"

    def call(self, name, **fields):
        return ask(self.connection, f"/v4.2/{name}", {"key": "private_test_key", **fields}).json

    def create(self, emails, **changes):
        fields = {"input_location": "supplied", "auto_parse": True, "auto_start": True,
                  "input": [{"email": email} for email in emails], "filename": "job-1"}
        fields.update(changes)
        return self.call("jobs/create", **fields)

    def wait(self, job_id, state):
        wait_for(lambda: self.call("jobs/status", job_id=job_id)["job_status"] == state)

    def test_job(self):
        before = self.credits()
        emails = ["a@x.org", "A@x.org", "invalid1@x.org", "catchall@x.org", "disposable@x.org",
                  "unknown@x.org", "nobody"]
        answer = self.create(emails, filename="life")
        job_id = answer["job_id"]
        self.assertEqual(self.credits(), before + 4)
        self.assertEqual(self.last("jobs/create")["job_id"], job_id)
        status = self.call("jobs/status", job_id=job_id)
        self.assertIn(status["job_status"], ("queued", "running"))
        self.assertEqual(self.call("jobs/results", job_id=job_id)["status"], "general_failure")
        self.wait(job_id, "complete")
        results = self.call("jobs/results", job_id=job_id, items_per_page=1000)
        self.assertNotIn("job_status", results)
        self.assertEqual([row["verification"]["result"] for row in results["results"]],
                         ["valid", "valid", "invalid", "catchall", "disposable", "unknown", "invalid"])
        self.assertEqual(self.call("jobs/status", job_id=job_id)["total"]["billable"], 4)

    def test_paging(self):
        job_id = self.create([f"a{number}@x.org" for number in range(25)])["job_id"]
        self.wait(job_id, "complete")
        first = self.call("jobs/results", job_id=job_id)
        self.assertEqual((len(first["results"]), first["total_results"], first["total_pages"]),
                         (10, 25, 3))
        third = self.call("jobs/results", job_id=job_id, page=3)
        self.assertEqual(third["results"][-1]["data"]["email"], "a24@x.org")
        self.assertEqual(self.call("jobs/results", job_id=job_id, items_per_page=1001)["status"],
                         "general_failure")

    def test_steps(self):
        before = self.credits()
        job_id = self.create(["a@x.org"], auto_parse=False)["job_id"]
        self.assertEqual(self.call("jobs/status", job_id=job_id)["job_status"], "uploading")
        self.assertEqual(self.call("jobs/start", job_id=job_id)["message"],
                         "This job is not in a state which can be ran")
        self.call("jobs/parse", job_id=job_id)
        self.assertEqual(self.call("jobs/status", job_id=job_id)["job_status"], "waiting")
        self.assertEqual(self.credits(), before)
        self.assertIn("queue_id", self.call("jobs/start", job_id=job_id))
        self.assertEqual(self.credits(), before + 1)
        self.wait(job_id, "complete")
        self.call("jobs/delete", job_id=job_id)
        self.assertEqual(self.call("jobs/status", job_id=job_id)["message"], "Invalid job ID")

    def test_ends(self):
        self.wait(self.create(["a@review.example"])["job_id"], "under_review")
        job_id = self.create(["a@fail.example"])["job_id"]
        self.wait(job_id, "failed")
        self.assertTrue(self.call("jobs/status", job_id=job_id)["failure_reason"])
        self.assertEqual(self.call("jobs/status", job_id=self.create(["a@slow.example"])["job_id"])
                         ["job_status"], "queued")

    def test_search(self):
        job_id = self.create(["a@x.org"], filename="found-me")["job_id"]
        found = self.call("jobs/search", filename="found-me")
        self.assertEqual([(job["id"], job["filename"]) for job in found["results"]],
                         [(job_id, "found-me")])
        self.assertEqual(self.call("jobs/search", filename="found")["results"], [])

    def test_lost_create(self):
        self.sim.rule({"reset": "after_read"}, provider="neverbounce",
                      match={"call": "jobs/create", "subject": "lost"})
        self.sim.rule({"body": {"status": "throttle_triggered", "message": "Too many requests"},
                       "accept": False}, provider="neverbounce", match={"subject": "refused"})
        with self.assertRaises(OSError):
            self.create(["a@x.org"], filename="lost")
        self.assertEqual(len(self.call("jobs/search", filename="lost")["results"]), 1)
        self.assertEqual(self.create(["a@x.org"], filename="refused")["status"], "throttle_triggered")
        self.sim.control("DELETE", "/rules")
        self.assertEqual(self.call("jobs/search", filename="refused")["results"], [])

    def test_single_and_account(self):
        answer = self.call("single/check", email="invalid@x.org", credits_info=True)
        self.assertEqual((answer["status"], answer["result"]), ("success", "invalid"))
        self.assertIn("paid_credits_remaining", answer["credits_info"])
        info = self.call("account/info")
        self.assertGreater(info["credits_info"]["paid_credits_used"], 0)
        response = ask(self.connection, "/v4/account/info?key=private_test_key", method="GET")
        self.assertEqual(response.json["status"], "success")

    def test_errors_are_200(self):
        cases = [
            ("general_failure", "'key'", {"key": None}, "account/info"),
            ("auth_failure", "private_", {"key": "private_wrong_one"}, "account/info"),
            ("general_failure", "input_location", {"input": [{"email": "a@x.org"}]}, "jobs/create"),
            ("general_failure", "'input'", {"input_location": "supplied"}, "jobs/create"),
            ("general_failure", "'email'", {}, "single/check"),
            ("general_failure", "job ID", {"job_id": 1}, "jobs/status"),
        ]
        for status, text, fields, call in cases:
            fields = {"key": "private_test_key", **fields}
            fields = {name: value for name, value in fields.items() if value is not None}
            response = ask(self.connection, f"/v4.2/{call}", fields)
            self.assertEqual((response.status, response.json["status"]), (200, status), call)
            self.assertIn(text, response.json["message"])
        self.assertEqual(ask(self.connection, "/v4.2/nothing", {}).status, 404)
        self.sim.rule({"status": 502}, provider="neverbounce")
        self.assertIsNone(ask(self.connection, "/v4.2/account/info", {}).json)

    def test_no_credit(self):
        with tempfile.TemporaryDirectory() as directory:
            sim = Simulator(directory, "--credits", "1", "--job-seconds", "0")
            self.addCleanup(sim.stop)
            self.connection = sim.http("neverbounce")
            self.addCleanup(self.connection.close)
            self.assertIn("requires 2 credits", self.create(["a@x.org", "b@x.org"])["message"])
            job_id = self.create(["a@x.org"])["job_id"]
            self.assertEqual(self.call("jobs/status", job_id=job_id)["job_status"], "complete")
            self.assertIn("Insufficient credit", self.call("single/check", email="c@x.org")["message"])


class HunterTest(LookupCase):
    provider = "hunter"

    def search(self, query, key="hu-test-key", method="GET"):
        return ask(self.connection, f"/v2/domain-search?{query}", None, {"X-API-KEY": key}, method)

    def test_search(self):
        before = self.credits()
        response = self.search("domain=acme.com&limit=11&offset=10")
        self.assertEqual((response.status, response.json["meta"]["results"]), (200, 23))
        emails = response.json["data"]["emails"]
        self.assertEqual(len(emails), 11)
        self.assertTrue(emails[0]["value"].endswith("@acme.com"))
        self.assertEqual(self.credits(), before + 2)
        senior = self.search("domain=acme.com&seniority=senior,junior").json["data"]["emails"]
        self.assertEqual({row["seniority"] for row in senior}, {"senior", "junior"})

    def test_refusals(self):
        self.assertEqual(self.search("domain=acme.com", key="wrong").status, 401)
        self.assertEqual(self.search("domain=").status, 400)
        self.assertEqual(self.search("domain=acme.com&limit=101").status, 400)
        self.assertEqual(self.search("domain=acme.com", method="POST").status, 405)
        self.sim.rule({"status": 403}, provider="hunter", count=1)
        response = self.search("domain=acme.com")
        self.assertEqual((response.status, response.json["errors"][0]["details"]),
                         (403, "You have reached the rate limit"))
        self.sim.rule({"status": 429}, provider="hunter", count=1)
        self.assertEqual(self.search("domain=acme.com").json["errors"][0]["code"], 429)
