/* rf_address_parse: spans stay inside the input, and what is found is one address. */
#include "codec/address.h"
#include "fuzz.h"

static bool
is_inside(const char *span, size_t len, const char *text, size_t size)
{
	return span >= text && span + len <= text + size;
}

static void
check_parsed(const RfAddress *address, const char *text, size_t size)
{
	RfAddress	again;
	char		name[64];
	size_t		len;

	MUST(is_inside(address->name, address->name_len, text, size));
	MUST(is_inside(address->email, address->email_len, text, size));
	MUST(address->local_len > 0 && address->local_len + 1 < address->email_len);
	MUST(address->email[address->local_len] == '@');
	MUST(memchr(address->email, '@', address->email_len) ==
		 address->email + address->local_len);
	MUST(address->email_len <= 320);
	for (size_t i = 0; i < address->email_len; i++)
		MUST(address->email[i] > 0x20 && address->email[i] < 0x7f &&
			 strchr("<>()[]\",;:\\", address->email[i]) == NULL);

	for (size_t room = 0; room <= sizeof(name); room++)
	{
		len = rf_address_name(address, name, room);
		MUST(len == 0 || len < room);
		MUST(room == 0 || name[len] == '\0');
		MUST(!rf_text_is_utf8(address->name, address->name_len) ||
			 rf_text_is_utf8(name, len));
	}
	MUST(rf_address_parse(address->email, address->email_len, &again) == RF_ADDRESS_OK);
	MUST(again.name_len == 0 && rf_address_equal(address, &again));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	RfAddress	address;
	RfAddressStatus status;

	status = rf_address_parse((const char *) data, size, &address);
	MUST(rf_address_status_text(status)[0] != '\0');
	if (status == RF_ADDRESS_OK)
		check_parsed(&address, (const char *) data, size);
	return 0;
}
