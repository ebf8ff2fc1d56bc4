/*
 * A mail from bytes: what passes the checks can be built by every adapter, no
 * larger than foretold; what does not pass names a field and shows no address.
 */
#include "fuzz.h"
#include "provider/provider.h"

#define MAX_ITEMS 4

typedef struct Parts
{
	RfText		cc[MAX_ITEMS];
	RfText		bcc[MAX_ITEMS];
	RfText		tags[MAX_ITEMS];
	RfPair		custom_args[MAX_ITEMS];
	RfPair		headers[MAX_ITEMS];
} Parts;

static size_t
take_list(Input *input, RfText *list, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		list[i] = take_text(input);
	return count;
}

static size_t
take_pairs(Input *input, RfPair *pairs, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
	{
		pairs[i].name = take_text(input);
		pairs[i].value = take_text(input);
	}
	return count;
}

static RfEmail
take_email(Input *input, Parts *parts)
{
	unsigned int counts = take_byte(input) * 256u;
	RfEmail		email;

	counts += take_byte(input);
	memset(&email, 0, sizeof(email));
	email.from_addr = take_text(input);
	email.to_addr = take_text(input);
	email.subject = take_text(input);
	email.body_html = take_text(input);
	email.body_text = take_text(input);
	email.provider_options = take_text(input);
	if (counts & 0x400)
		email.reply_to = take_text(input);
	email.cc = parts->cc;
	email.ncc = take_list(input, parts->cc, counts & 3);
	email.bcc = parts->bcc;
	email.nbcc = take_list(input, parts->bcc, counts >> 2 & 3);
	email.tags = parts->tags;
	email.ntags = take_list(input, parts->tags, counts >> 4 & 3);
	email.custom_args = parts->custom_args;
	email.ncustom_args = take_pairs(input, parts->custom_args, counts >> 6 & 3);
	email.headers = parts->headers;
	email.nheaders = take_pairs(input, parts->headers, counts >> 8 & 3);
	email.rf_job.data = "00112233445566778899.42";
	email.rf_job.len = strlen(email.rf_job.data);
	return email;
}

static void
check_built(const RfProvider *provider, const RfEmail *email, bool sandbox)
{
	RfAccountConfig account = {0};
	RfRequest	request = {0};
	size_t		bytes;

	account.domain = "mg.example.com";
	account.secret = "SG.secret";
	account.sandbox = sandbox;
	MUST(provider->build_email(&account, email, &request));
	bytes = request.body_len;
	for (size_t i = 0; i < request.nfields; i++)
		bytes += strlen(request.fields[i].name) + request.fields[i].value_len;
	MUST(bytes > 0 && bytes <= provider->mail_size(email));
	rf_request_free(&request);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = make_input(data, size);
	Parts		parts;
	RfEmail		email = take_email(&input, &parts);
	RfFieldError error;
	const RfProvider *provider;

	if (!rf_email_check(&email, &error))
	{
		MUST(error.field[0] != '\0' && error.problem[0] != '\0');
		check_one_line(error.field, sizeof(error.field));
		check_one_line(error.problem, sizeof(error.problem));
		MUST(strchr(error.problem, '@') == NULL);
		return 0;
	}
	for (size_t i = 0; (provider = rf_provider_at(i)) != NULL; i++)
	{
		if (provider->sends_email)
			check_built(provider, &email, size & 1);
	}
	return 0;
}
