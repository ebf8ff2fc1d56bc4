"""Peers of calls that wait: what asks a provider over HTTP from within a session."""

from world import DATABASE

# As roleferry asks and answers: a search for one person that nobody asked
# before, the key in a header, the answer as columns.
SEARCH = """\\set n random(1, 1000000000)
SELECT p ->> 'name' AS name, p ->> 'first_name' AS first_name, p ->> 'last_name' AS last_name,
    p ->> 'title' AS title, p ->> 'email' AS email, p ->> 'linkedin_url' AS linkedin, p ->> 'id' AS person_id
FROM http(('POST', '{url}/mixed_people/api_search?q_organization_domains_list[]=example.com'
    || '&person_titles[]=CTO&person_titles[]=t' || :n || '&page=1&per_page=1',
    ARRAY[http_header('x-api-key', 'key'), http_header('Accept', 'application/json')],
    'application/json', '')::http_request) AS answer,
  jsonb_array_elements(answer.content::jsonb -> 'people') AS p;"""


class PgsqlHttp:
    """Where the server has it: Debian packages it only in PostgreSQL's own repository."""

    name = "pgsql_http"

    def __init__(self, server, provider):
        self.server = server
        self.provider = provider

    def absent(self):
        if self.server.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'http'") == "0":
            return "the server has no extension http"
        return None

    def install(self):
        """In roleferry's database, with connections that are kept."""
        self.server.sql("CREATE EXTENSION http;"
                        f"ALTER DATABASE {DATABASE} SET http.curlopt_tcp_keepalive = '1'")

    def search(self):
        return SEARCH.format(url=self.provider.url(0))


ALL = (PgsqlHttp,)
