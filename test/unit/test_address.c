/* One field, one e-mail address: what is accepted, and what each refusal says. */
#include <stdlib.h>

#include "codec/address.h"
#include "tap.h"

typedef struct Good
{
	const char *text;
	const char *name;			/* unescaped */
	const char *email;
} Good;

typedef struct Bad
{
	const char *text;
	RfAddressStatus status;
} Bad;

static void
test_accepted(void)
{
	static const Good cases[] = {
		{"ann@example.com", "", "ann@example.com"},
		{"  ann@example.com ", "", "ann@example.com"},
		{"<ann@example.com>", "", "ann@example.com"},
		{"Ann Lee <ann@example.com>", "Ann Lee", "ann@example.com"},
		{"Ann<ann@example.com>", "Ann", "ann@example.com"},
		{"\"Lee, Ann\" <ann@example.com>", "Lee, Ann", "ann@example.com"},
		{"\"a@b.example; c@d.example\" <ann@example.com>", "a@b.example; c@d.example", "ann@example.com"},
		{"\"The \\\"A\\\" \\\\ Team\" <a@example.com>", "The \"A\" \\ Team", "a@example.com"},
		{"\"\" <a@example.com>", "", "a@example.com"},
		{"\"<x>\" <a@example.com>", "<x>", "a@example.com"},
		{"Zo\xc3\xab <zoe@example.com>", "Zo\xc3\xab", "zoe@example.com"},
		{"Dr. A (Sales): EU <a@example.com>", "Dr. A (Sales): EU", "a@example.com"},
		{"o'neil+tag_1!#$%&*/=?^`{|}~-@sub.example.co.uk", "",
		"o'neil+tag_1!#$%&*/=?^`{|}~-@sub.example.co.uk"},
		{"a.b.c@1a-b.example", "", "a.b.c@1a-b.example"},
		{"a@xn--bcher-kva.example", "", "a@xn--bcher-kva.example"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		RfAddress	address;
		char		name[100];
		size_t		len = strlen(cases[i].text);
		char	   *text = malloc(len + 1);
		bool		holds;

		/* Exactly as long as the text: an over-read is seen. */
		memcpy(text, cases[i].text, len);
		text = realloc(text, len);
		holds = rf_address_parse(text, len, &address) == RF_ADDRESS_OK &&
			address.email_len == strlen(cases[i].email) &&
			memcmp(address.email, cases[i].email, address.email_len) == 0 &&
			address.email[address.local_len] == '@' &&
			rf_address_name(&address, name, sizeof(name)) == strlen(cases[i].name) &&
			strcmp(name, cases[i].name) == 0;
		ok(holds, "accepted: %s", cases[i].text);
		free(text);
	}
}

static void
test_refused(void)
{
	static const Bad cases[] = {
		{"", RF_ADDRESS_EMPTY},
		{"   ", RF_ADDRESS_EMPTY},
		{"a@example.com\r\nBcc: b@example.com", RF_ADDRESS_CONTROL},
		{"\"a\tb\" <a@example.com>", RF_ADDRESS_CONTROL},
		{"a@example.com\n", RF_ADDRESS_CONTROL},
		{"a@example.com,b@example.com", RF_ADDRESS_TWO},
		{"a@example.com; b@example.com", RF_ADDRESS_TWO},
		{"a@example.com b@example.com", RF_ADDRESS_TWO},
		{"A <a@example.com>, B <b@example.com>", RF_ADDRESS_TWO},
		{"<a@example.com><b@example.com>", RF_ADDRESS_TWO},
		{"a@example.com <b@example.com>", RF_ADDRESS_TWO},
		{"a@b@example.com", RF_ADDRESS_TWO},
		{"team: a@example.com, b@example.com;", RF_ADDRESS_TWO},
		{"a@example.com,", RF_ADDRESS_SYNTAX},
		{"Lee, Ann <ann@example.com>", RF_ADDRESS_SYNTAX},
		{"ann", RF_ADDRESS_SYNTAX},
		{"@example.com", RF_ADDRESS_SYNTAX},
		{"ann@", RF_ADDRESS_SYNTAX},
		{"@", RF_ADDRESS_SYNTAX},
		{"<>", RF_ADDRESS_SYNTAX},
		{"Ann <>", RF_ADDRESS_SYNTAX},
		{"Ann <ann@example.com", RF_ADDRESS_SYNTAX},
		{"Ann ann@example.com>", RF_ADDRESS_SYNTAX},
		{"<ann@example.com> Ann", RF_ADDRESS_SYNTAX},
		{"<<ann@example.com>>", RF_ADDRESS_SYNTAX},
		{"Ann <ann@example.com>>", RF_ADDRESS_SYNTAX},
		{"A > B <ann@example.com>", RF_ADDRESS_SYNTAX},
		{"< ann@example.com>", RF_ADDRESS_SYNTAX},
		{"ann lee@example.com", RF_ADDRESS_SYNTAX},
		{"\"Ann <ann@example.com>", RF_ADDRESS_SYNTAX},
		{"\"Ann\\\" <ann@example.com>", RF_ADDRESS_SYNTAX},
		{"\"Ann\" Lee <ann@example.com>", RF_ADDRESS_SYNTAX},
		{"Ann \"A\" Lee <ann@example.com>", RF_ADDRESS_SYNTAX},
		{"\"ann lee\"@example.com", RF_ADDRESS_SYNTAX},
		{".ann@example.com", RF_ADDRESS_SYNTAX},
		{"ann.@example.com", RF_ADDRESS_SYNTAX},
		{"an..n@example.com", RF_ADDRESS_SYNTAX},
		{"ann@localhost", RF_ADDRESS_SYNTAX},
		{"ann@example..com", RF_ADDRESS_SYNTAX},
		{"ann@.example.com", RF_ADDRESS_SYNTAX},
		{"ann@example.com.", RF_ADDRESS_SYNTAX},
		{"ann@-example.com", RF_ADDRESS_SYNTAX},
		{"ann@example-.com", RF_ADDRESS_SYNTAX},
		{"ann@[10.0.0.1]", RF_ADDRESS_SYNTAX},
		{"ann@exam_ple.com", RF_ADDRESS_SYNTAX},
		{"z\xc3\xb6@example.com", RF_ADDRESS_NON_ASCII},
		{"ann@b\xc3\xbc" "cher.example", RF_ADDRESS_NON_ASCII},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		RfAddress	address;
		RfAddressStatus status;

		status = rf_address_parse(cases[i].text, strlen(cases[i].text), &address);
		ok(status == cases[i].status, "case %zu: the field %s", i + 1,
		   rf_address_status_text(cases[i].status));
		if (status != cases[i].status)
			printf("# %s\n# but it %s\n", cases[i].text,
				   rf_address_status_text(status));
	}
}

static RfAddressStatus
parse_sized(size_t local, size_t label, size_t labels)
{
	RfAddress	address;
	char		text[1024];
	size_t		len = 0;

	memset(text, 'a', local);
	len = local;
	text[len++] = '@';
	for (size_t i = 0; i < labels; i++)
	{
		if (i > 0)
			text[len++] = '.';
		memset(text + len, 'b', label);
		len += label;
	}
	return rf_address_parse(text, len, &address);
}

static void
test_lengths(void)
{
	is_int(parse_sized(64, 63, 4), RF_ADDRESS_OK, "64 bytes before and 255 after the @ are taken");
	is_int(parse_sized(65, 10, 2), RF_ADDRESS_TOO_LONG, "65 before it are not");
	is_int(parse_sized(1, 51, 5), RF_ADDRESS_TOO_LONG, "256 and more after it are not");
	is_int(parse_sized(1, 64, 2), RF_ADDRESS_SYNTAX, "a label has at most 63");
}

static void
test_names_and_equality(void)
{
	RfAddress	a;
	RfAddress	b;
	char		buf[8];
	const char *euros = "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac <a@example.com>";

	rf_address_parse(euros, strlen(euros), &a);
	is_int((int64_t) rf_address_name(&a, buf, 8), 6, "a name is cut between characters");
	is_text(buf, "\xe2\x82\xac\xe2\x82\xac", "and stays whole characters");
	is_int((int64_t) rf_address_name(&a, buf, 7), 6, "a cut that falls between two keeps both");
	is_int((int64_t) rf_address_name(&a, buf, 2), 0, "no room for one character is no name");
	is_int((int64_t) rf_address_name(&a, buf, 1), 0, "one byte holds the end only");
	is_int((int64_t) rf_address_name(&a, buf, 0), 0, "no byte is no crash");

	rf_address_parse("Ann@Example.COM", 15, &a);
	rf_address_parse("X <aNN@example.com>", 19, &b);
	ok(rf_address_equal(&a, &b), "case and name do not tell mailboxes apart");
	rf_address_parse("Anna@Example.COM", 16, &b);
	ok(!rf_address_equal(&a, &b), "letters do");
}

/* A megabyte of anything is answered at once; quadratic work would be seen. */
static void
test_linear(void)
{
	static const char *const fills[] = {"\"", "\\", "\"\\", "<", "@", ".", "a", " ", "(", ","};
	size_t		size = 1 << 20;
	char	   *text = malloc(size);
	RfAddress	address;

	for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]); i++)
	{
		for (size_t j = 0; j < size; j++)
			text[j] = fills[i][j % strlen(fills[i])];
		ok(rf_address_parse(text, size, &address) != RF_ADDRESS_OK,
		   "a megabyte of %s is refused", fills[i]);
	}
	free(text);
}

int
main(void)
{
	test_accepted();
	test_refused();
	test_lengths();
	test_names_and_equality();
	test_linear();
	return done_testing();
}
