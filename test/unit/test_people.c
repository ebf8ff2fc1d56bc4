/* People queries: what is wrong with them, and who works where. */
#include "people.h"

static void
is_refused(const RfPeopleQuery *query, const char *field, const char *problem)
{
	RfFieldError error;
	char		what[300];
	char		got[400];

	snprintf(what, sizeof(what), "%s %s", field, problem);
	memset(&error, 0, sizeof(error));
	if (rf_people_check(query, &error))
		ok(false, "%s", what);
	else
	{
		snprintf(got, sizeof(got), "%s %s", error.field, error.problem);
		is_text(got, what, what);
	}
}

static void
refuse_domain(const char *domain, const char *problem)
{
	RfPeopleQuery query = query_for(domain, 10);

	is_refused(&query, "domain", problem);
}

static void
test_domain(void)
{
	RfPeopleQuery query = query_for("Acme-2.co.uk", 10);
	RfFieldError error;
	char		label[70];

	ok(rf_people_check(&query, &error), "a bare domain is good");
	query = query_for("xn--bcher-kva.example", 10);
	ok(rf_people_check(&query, &error), "also one in another script's form");
	query = query_for("www.com", 10);
	ok(rf_people_check(&query, &error), "and one that is called www");
	query.domain.data = NULL;
	query.domain.len = 0;
	is_refused(&query, "domain", "is empty");
	refuse_domain("  ", "is empty");
	refuse_domain("ann@acme.com", "is not a domain but an e-mail address");
	refuse_domain("https://acme.com", "is not a domain but a URL, or has a path or port");
	refuse_domain("acme.com/jobs", "is not a domain but a URL, or has a path or port");
	refuse_domain("acme.com:443", "is not a domain but a URL, or has a path or port");
	refuse_domain("WWW.acme.com", "begins with \"www.\"");
	refuse_domain("acme", "is not a domain name");
	refuse_domain("acme..com", "is not a domain name");
	refuse_domain(".acme.com", "is not a domain name");
	refuse_domain("acme.com.", "is not a domain name");
	refuse_domain("-acme.com", "is not a domain name");
	refuse_domain("acme-.com", "is not a domain name");
	refuse_domain("acme.com-", "is not a domain name");
	refuse_domain(" acme.com", "is not a domain name");
	refuse_domain("acme_1.com", "is not a domain name");
	refuse_domain("b\xc3\xbc" "cher.example", "is not a domain name");
	refuse_domain("a\tb.com", "holds a control character");
	refuse_domain("\xff.com", "is not valid UTF-8");
	memset(label, 'a', 64);
	strcpy(label + 64, ".com");
	refuse_domain(label, "is not a domain name");
}

static void
test_lists(void)
{
	RfPeopleQuery query = query_for("acme.com", 10);
	RfFieldError error;
	RfText		many[101];
	RfText		words[2] = {span("vp"), span("boss")};
	char		long_text[300];

	query.ntitles = 0;
	is_refused(&query, "titles", "is empty");
	query.seniorities = words;
	query.nseniorities = 1;
	ok(rf_people_check(&query, &error), "seniorities do without titles");
	query.nseniorities = 2;
	is_refused(&query, "seniorities[2]", "is not a known seniority: \"boss\"");
	words[1] = span("VP");
	is_refused(&query, "seniorities[2]", "is not a known seniority: \"VP\"");
	query.nseniorities = 0;

	for (size_t i = 0; i < 101; i++)
		many[i] = span("CEO");
	query.titles = many;
	query.ntitles = 100;
	ok(rf_people_check(&query, &error), "a hundred titles are taken");
	query.ntitles = 101;
	is_refused(&query, "titles", "has too many elements");
	query.ntitles = 2;
	many[1] = span(" ");
	is_refused(&query, "titles[2]", "is empty");
	many[1] = span("C\nO");
	is_refused(&query, "titles[2]", "holds a control character");
	memset(long_text, 'x', sizeof(long_text));
	long_text[201] = '\0';
	many[1] = span(long_text);
	is_refused(&query, "titles[2]", "is too long");
	many[1].len = 200;
	ok(rf_people_check(&query, &error), "200 bytes are not");
	query.locations = many + 2;
	query.nlocations = 1;
	many[2] = span("");
	is_refused(&query, "locations[1]", "is empty");
	query.nlocations = 0;

	query.max_results = 0;
	is_refused(&query, "max_results", "is not between 1 and 50000");
	query.max_results = 50001;
	is_refused(&query, "max_results", "is not between 1 and 50000");
	query.max_results = 50000;
	ok(rf_people_check(&query, &error), "50000 can be had");
}

static void
is_where(const char *domain, const char *email, const char *name, const char *asked,
		 RfWorksAt expected, const char *what)
{
	RfPerson	person;

	memset(&person, 0, sizeof(person));
	person.organization_domain = domain != NULL ? strdup(domain) : NULL;
	person.email = email != NULL ? strdup(email) : NULL;
	person.organization_name = name != NULL ? strdup(name) : NULL;
	is_int(rf_person_works_at(&person, span(asked)), expected, what);
	rf_person_free(&person);
}

static void
test_where(void)
{
	is_where("acme.com", NULL, NULL, "ACME.com", RF_WORKS_THERE, "the same domain");
	is_where("eu.acme.com", NULL, NULL, "acme.com", RF_WORKS_THERE, "one below it");
	is_where("acme.com", NULL, NULL, "eu.acme.com", RF_WORKS_THERE, "one above it");
	is_where("com", NULL, NULL, "acme.com", RF_WORKS_ELSEWHERE, "a whole top level is nobody's");
	is_where("badacme.com", NULL, NULL, "acme.com", RF_WORKS_ELSEWHERE, "one that only ends so");
	is_where("acme.io", "a@acme.com", "Acme", "acme.com", RF_WORKS_ELSEWHERE, "another domain, whatever else");
	is_where(NULL, "a@acme.com", NULL, "acme.com", RF_WORKS_THERE, "the e-mail's domain");
	is_where(NULL, "a@gmail.com", NULL, "acme.com", RF_WORKS_UNKNOWN, "a private e-mail proves nothing");
	is_where(NULL, NULL, "Acme, Inc.", "acme.co.uk", RF_WORKS_THERE, "the name begins with the domain's");
	is_where(NULL, NULL, "IBM", "ibm.com", RF_WORKS_THERE, "the name is the domain's");
	is_where(NULL, NULL, "HP", "hp.com", RF_WORKS_THERE, "a short one too");
	is_where(NULL, NULL, "HP", "hpe.com", RF_WORKS_UNKNOWN, "but not as a beginning");
	is_where(NULL, NULL, "Alphabet", "google.com", RF_WORKS_UNKNOWN, "another name proves nothing");
	is_where(NULL, NULL, "\xe6\x97\xa5", "acme.com", RF_WORKS_UNKNOWN, "nor does one without letters of ours");
	is_where(NULL, NULL, NULL, "acme.com", RF_WORKS_UNKNOWN, "nor does nothing");
}

int
main(void)
{
	test_domain();
	test_lists();
	test_where();
	return done_testing();
}
