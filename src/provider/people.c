/*-------------------------------------------------------------------------
 *
 * people.c
 *	  Checks of a people query, and what a person is worth.
 *
 * Providers ignore a filter they do not understand and answer with people of
 * any firm; so everything in a query is checked here, before it costs anything.
 *
 * Problems and hints never quote an address: they end up in logs.
 *
 * IDENTIFICATION
 *	  src/provider/people.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "provider/field_error.h"

#include "provider/people.h"

#define MAX_DOMAIN_BYTES	253
#define MAX_LABEL_BYTES		63

/* Apollo's words; other adapters translate. */
static const char *const seniorities[] = {
	"owner", "founder", "c_suite", "partner", "vp", "head", "director",
	"manager", "senior", "entry", "intern"
};

static void take_text(char **to, char *from);
static bool check_domain(RfText domain, RfFieldError *error);
static bool is_domain_name(RfText domain);
static bool check_list(const RfText *list, size_t count, const char *name,
					   RfFieldError *error);
static bool check_element(RfText element, const char *field, RfFieldError *error);
static bool check_seniorities(const RfPeopleQuery *query,
							  RfFieldError *error);
static bool is_seniority(RfText text);
static bool is_word(const char *text, const char *const *words, size_t count);

bool
rf_people_check(const RfPeopleQuery *query, RfFieldError *error)
{
	if (!check_domain(query->domain, error) ||
		!check_list(query->titles, query->ntitles, "titles", error) ||
		!check_list(query->seniorities, query->nseniorities, "seniorities", error) ||
		!check_list(query->locations, query->nlocations, "locations", error) ||
		!check_seniorities(query, error))
		return false;
	if (query->ntitles == 0 && query->nseniorities == 0)
		return rf_field_error_set(error, "titles", "is empty",
								  "Give at least one job title, or seniorities.");
	if (query->max_results < 1 || query->max_results > RF_PEOPLE_MAX_RESULTS)
		return rf_field_error_set(error, "max_results",
								  "is not between 1 and 50000", "");
	return true;
}

size_t
rf_people_page_rows(const RfPeopleQuery *query, size_t page_size)
{
	if (query->max_results > 0 && (uint64_t) query->max_results < page_size)
		return (size_t) query->max_results;
	return page_size;
}

void
rf_person_rate(RfPerson *person)
{
	static const char *const doubtful[] = {
		"unverified", "guessed", "extrapolated", "likely", "unknown",
		"accept_all", "webmail", "questionable", "user managed"
	};
	static const char *const useless[] = {
		"unavailable", "bounced", "invalid", "disposable"
	};

	person->confidence = RF_CONFIDENCE_EMAIL;
	if (person->email == NULL ||
		is_word(person->email_status, useless, sizeof(useless) / sizeof(useless[0])))
		person->confidence = RF_CONFIDENCE_NO_EMAIL;
	else if (is_word(person->email_status, doubtful,
					 sizeof(doubtful) / sizeof(doubtful[0])))
		person->confidence = RF_CONFIDENCE_UNVERIFIED;
}

void
rf_person_overlay(RfPerson *person, const RfPerson *known)
{
	take_text(&person->name, known->name);
	take_text(&person->first_name, known->first_name);
	take_text(&person->last_name, known->last_name);
	take_text(&person->title, known->title);
	take_text(&person->email, known->email);
	take_text(&person->email_status, known->email_status);
	take_text(&person->linkedin, known->linkedin);
	take_text(&person->organization_name, known->organization_name);
	take_text(&person->organization_domain, known->organization_domain);
	rf_person_rate(person);
}

void
rf_person_free(RfPerson *person)
{
	free(person->id);
	free(person->name);
	free(person->first_name);
	free(person->last_name);
	free(person->title);
	free(person->email);
	free(person->email_status);
	free(person->linkedin);
	free(person->organization_name);
	free(person->organization_domain);
	memset(person, 0, sizeof(*person));
}

void
rf_people_page_free(RfPeoplePage *page)
{
	for (size_t i = 0; i < page->npeople; i++)
		rf_person_free(&page->people[i]);
	free(page->people);
	memset(page, 0, sizeof(*page));
}

void
rf_enrichment_free(RfEnrichment *enrichment)
{
	for (size_t i = 0; i < enrichment->npeople; i++)
		rf_person_free(&enrichment->people[i]);
	free(enrichment->people);
	free(enrichment->request_id);
	memset(enrichment, 0, sizeof(*enrichment));
}

static void
take_text(char **to, char *from)
{
	if (from != NULL)
		*to = from;
}

/* The usual mistakes have words of their own. */
static bool
check_domain(RfText domain, RfFieldError *error)
{
	static const char hint[] = "Give the bare domain, such as acme.com.";
	const char *field = "domain";

	if (!rf_field_check_text(domain, false, field, error))
		return false;
	if (rf_field_is_blank(domain))
		return rf_field_error_set(error, field, "is empty", hint);
	if (memchr(domain.data, '@', domain.len) != NULL)
		return rf_field_error_set(error, field, "is not a domain but an e-mail address",
								  "Give what comes after the \"@\".");
	if (memchr(domain.data, '/', domain.len) != NULL ||
		memchr(domain.data, ':', domain.len) != NULL)
		return rf_field_error_set(error, field, "is not a domain but a URL, or has a path or port", hint);
	if (domain.len > 4 && rf_text_same_nocase(domain.data, "www.", 4) &&
		memchr(domain.data + 4, '.', domain.len - 4) != NULL)
		return rf_field_error_set(error, field, "begins with \"www.\"", hint);
	if (!is_domain_name(domain))
		return rf_field_error_set(error, field, "is not a domain name",
								  "Letters, digits and hyphens between dots; names in other scripts in their xn-- form.");
	return true;
}

/* Two labels at least. */
static bool
is_domain_name(RfText domain)
{
	size_t		label_len = 0;
	size_t		labels = 1;

	if (domain.len > MAX_DOMAIN_BYTES)
		return false;
	for (size_t i = 0; i < domain.len; i++)
	{
		char		c = domain.data[i];

		if (c == '.')
		{
			if (label_len == 0 || domain.data[i - 1] == '-')
				return false;
			label_len = 0;
			labels++;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || (c == '-' && label_len > 0)))
			return false;
		if (++label_len > MAX_LABEL_BYTES)
			return false;
	}
	return labels > 1 && label_len > 0 && domain.data[domain.len - 1] != '-';
}

static bool
check_list(const RfText *list, size_t count, const char *name,
		   RfFieldError *error)
{
	char		field[RF_FIELD_MAX];

	if (count > RF_PEOPLE_LIST_MAX)
		return rf_field_error_set(error, name, "has too many elements",
								  "At most 100 are taken.");
	for (size_t i = 0; i < count; i++)
	{
		/* Its full name is made only where it is told. */
		if (check_element(list[i], name, error))
			continue;
		rf_field_index(field, name, i);
		return check_element(list[i], field, error);
	}
	return true;
}

static bool
check_element(RfText element, const char *field, RfFieldError *error)
{
	if (!rf_field_check_text(element, false, field, error))
		return false;
	if (rf_field_is_blank(element))
		return rf_field_error_set(error, field, "is empty", "");
	if (element.len > RF_PEOPLE_TEXT_MAX)
		return rf_field_error_set(error, field, "is too long",
								  "At most 200 bytes are taken.");
	return true;
}

static bool
check_seniorities(const RfPeopleQuery *query, RfFieldError *error)
{
	char		field[RF_FIELD_MAX];

	for (size_t i = 0; i < query->nseniorities; i++)
	{
		if (is_seniority(query->seniorities[i]))
			continue;
		rf_field_index(field, "seniorities", i);
		return rf_field_error_name(error, field, "is not a known seniority:",
								   query->seniorities[i],
								   "Seniorities: owner, founder, c_suite, partner, vp, head, director, manager, senior, entry, intern");
	}
	return true;
}

static bool
is_seniority(RfText text)
{
	for (size_t i = 0; i < sizeof(seniorities) / sizeof(seniorities[0]); i++)
	{
		if (strlen(seniorities[i]) == text.len &&
			memcmp(seniorities[i], text.data, text.len) == 0)
			return true;
	}
	return false;
}

/* Case is ignored; NULL is no word. */
static bool
is_word(const char *text, const char *const *words, size_t count)
{
	size_t		len = text != NULL ? strlen(text) : 0;

	for (size_t i = 0; i < count && text != NULL; i++)
	{
		if (strlen(words[i]) == len && rf_text_same_nocase(text, words[i], len))
			return true;
	}
	return false;
}
