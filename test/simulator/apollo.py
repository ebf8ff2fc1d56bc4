"""Apollo: api_search, bulk_match, and the search it had before."""

import json
import math
import re

from http_connection import Answer
from people import staff, strangers
from provider import Mail, Verdict
from windows import Windows

JSON_TYPE = {"Content-Type": "application/json"}
SEARCH = "/api/v1/mixed_people/api_search"
MATCH = "/api/v1/people/bulk_match"
OLD_SEARCH = "/v1/mixed_people/search"
OLD_MATCH = "/v1/people/bulk_match"
CALLS = {SEARCH: "api_search", MATCH: "bulk_match", OLD_SEARCH: "search", OLD_MATCH: "bulk_match"}
WINDOW_NAMES = {60: "minute", 3600: "hourly", 86400: "24-hour"}
DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+\Z")
EVERYBODY = 232764882               # total_entries of a search without a filter
REQUEST_ID = 1039995589705121900    # past what a double holds


class Apollo:
    """Counts credits and windows; knows by id whom it has shown or could show."""

    body_limit = 1024 * 1024

    def __init__(self, name, key, credits, limits):
        self.name = name
        self.key = key
        self.credits = credits
        self.windows = Windows(limits)
        self.known = {}             # id -> Person
        self.enrichments = 0

    def error(self, status, message=None):
        if status == 401:
            return Answer(401, {"Content-Type": "text/plain"},
                          b"Invalid API key. See https://docs.apollo.io/reference/authentication "
                          b"for how to authenticate.")
        if status == 403:
            body = {"error": message or "This API key is not authorized to access this endpoint.",
                    "error_code": "API_INACCESSIBLE"}
        elif status == 429:
            body = {"message": message or "The maximum number of api calls allowed is reached."}
        else:
            body = {"error": message or ERROR_TEXTS.get(status, "something is wrong")}
        return Answer(status, JSON_TYPE, json.dumps(body).encode())

    def too_large(self):
        return self.error(413)

    def garble(self, text):
        return b'{"people":[{"id":' + text + b',"name":' + text + b"}]}"

    def examine(self, request):
        mail = Mail()
        mail.call = CALLS.get(request.path)
        if mail.call is None:
            return Verdict(mail, self.error(404))
        if request.method != "POST":
            return Verdict(mail, self.error(405))
        try:
            query = json.loads(request.body)
        except (ValueError, RecursionError):
            query = None
        if not isinstance(query, dict):
            return Verdict(mail, self.error(422))
        key = query.get("api_key") if request.path.startswith("/v1/") else \
            request.headers.get("x-api-key")
        if key != self.key:
            return Verdict(mail, self.error(401))
        wait = self.windows.blocked_for(mail.call)
        if wait > 0:
            return self._refuse_fast(mail, wait)
        verdict = (self._match if mail.call == "bulk_match" else self._search)(
            mail, query, request.path == OLD_SEARCH)
        return self._count(verdict)

    def _refuse_fast(self, mail, wait):
        limit = min(self.windows.limits.values())
        text = f"The maximum number of api calls allowed for {mail.call} is {limit} times per hour."
        if mail.call == "api_search":
            text = json.dumps({"message": text})    # JSON inside a JSON string
        verdict = Verdict(mail, self.error(429, text))
        verdict.answer.set_headers(self._rate_headers(mail.call, 0))
        verdict.answer.set_headers({"Retry-After": math.ceil(wait)})
        return verdict

    def _count(self, verdict):
        """The request counts, whatever a rule does to its answer."""
        call = verdict.mail.call
        verdict.answer.set_headers(self._rate_headers(call, 1))
        self.windows.count(call)
        return verdict

    def _rate_headers(self, call, more):
        headers = {}
        for seconds, name in WINDOW_NAMES.items():
            limit = self.windows.limits.get(seconds)
            used = self.windows.look(call, seconds)[0] + more
            unlimited = limit is None
            headers[f"x-rate-limit-{name}"] = "" if unlimited else limit
            headers[f"x-{name}-usage"] = "" if unlimited else used
            headers[f"x-{name}-requests-left"] = "" if unlimited else max(0, limit - used)
        return headers

    def _search(self, mail, query, legacy):
        """A filter with another name is ignored, and a sample of everybody comes back."""
        domains = query.get("organization_domains" if legacy else "q_organization_domains_list")
        page, rows = query.get("page", 1), query.get("per_page", 10)
        if not isinstance(page, int) or not 1 <= page <= 500 or \
                not isinstance(rows, int) or not 1 <= rows <= 100:
            return Verdict(mail, self.error(422))
        if isinstance(domains, list) and domains and all(isinstance(d, str) for d in domains):
            if not all(DOMAIN.match(domain) for domain in domains):
                return Verdict(mail, self.error(422))
            mail.to = domains
            found = [person for domain in domains for person in staff(domain)
                     if person.fits(query.get("person_titles"), query.get("person_seniorities"),
                                    query.get("person_locations"))]
            total = len(found)
        else:
            found, total = strangers(), EVERYBODY
        shown = found[(page - 1) * rows:page * rows]
        self.known.update((person.id, person) for person in shown)
        if legacy:
            body = {"pagination": {"page": page, "per_page": rows, "total_entries": total,
                                   "total_pages": -(-total // rows)},
                    "people": [describe(person) for person in shown], "contacts": []}
        else:
            body = {"total_entries": total, "people": [hint_at(person) for person in shown]}
        return Verdict(mail, Answer(200, JSON_TYPE, json.dumps(body).encode()), taken=True)

    def _match(self, mail, query, _legacy):
        details = query.get("details")
        if not isinstance(details, list) or not details:
            return Verdict(mail, self._failed("INVALID_REQUEST", "invalid request, missing details"))
        if len(details) > 10:
            return Verdict(mail, self._failed("RECORD_LIMIT_EXCEEDED",
                                              "cannot enrich more than 10 in a single request"))
        ids = [item.get("id") if isinstance(item, dict) else None for item in details]
        mail.to = [text for text in ids if isinstance(text, str)]
        found = [self.known.get(text) for text in ids]
        matches = [describe(person) if person is not None and not person.is_missed else None
                   for person in found]
        cost = sum(1 for match in matches if match is not None and match["email"] is not None)
        if cost > self.credits:
            return Verdict(mail, self.error(422, "You have insufficient credits."))
        missing = matches.count(None)
        self.enrichments += 1
        body = {"status": "success", "error_code": None, "error_message": None,
                "total_requested_enrichments": len(ids),
                "unique_enriched_records": len(ids) - missing, "missing_records": missing,
                "credits_consumed": cost, "matches": matches,
                "request_id": REQUEST_ID + self.enrichments}
        return Verdict(mail, Answer(200, JSON_TYPE, json.dumps(body).encode()), taken=True,
                       commit=lambda: self._charge(cost))

    def _charge(self, cost):
        self.credits -= cost
        return {"credits": cost}

    def _failed(self, code, message):
        body = {"status": "failed", "error_code": code, "error_message": message}
        return Answer(400, JSON_TYPE, json.dumps(body).encode())


ERROR_TEXTS = {
    404: "Not Found",
    405: "method not allowed",
    413: "Request Entity Too Large",
    422: "Invalid parameters",
    500: "Internal Server Error",
}


def hint_at(person):
    """What a search shows: no e-mail, no last name, no profile."""
    return {"id": person.id, "first_name": person.first,
            "last_name_obfuscated": person.last[:2] + "***" + person.last[-1],
            "title": person.title, "last_refreshed_at": "2026-01-05T23:20:32.690+00:00",
            "has_email": person.email is not None, "has_city": True, "has_direct_phone": "Yes",
            "organization": {"name": person.firm, "has_industry": True}}


def describe(person):
    """What an enrichment and the old search show."""
    return {"id": person.id, "first_name": person.first, "last_name": person.last,
            "name": f"{person.first} {person.last}", "title": person.title,
            "linkedin_url": person.linkedin, "email": person.email,
            "email_status": person.status if person.email else "unavailable",
            "organization": {"name": person.firm, "website_url": f"http://www.{person.domain}",
                             "primary_domain": person.domain}}
