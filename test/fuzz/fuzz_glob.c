/* A pattern matches a name exactly where trying every split says so. */
#include "core/glob.h"
#include "fuzz.h"

#define LONGEST 12

/* The definition, in exponential time. */
static bool
matches(const char *pattern, const char *name)
{
	if (*pattern == '\0')
		return *name == '\0';
	if (*pattern == '*')
		return matches(pattern + 1, name) || (*name != '\0' && matches(pattern, name + 1));
	return *pattern == *name && matches(pattern + 1, name + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = make_input(data, size);
	char	   *pattern = take_string(&input);
	char	   *name = take_string(&input);
	bool		found = rf_glob_match(pattern, name);

	if (strlen(pattern) <= LONGEST && strlen(name) <= LONGEST)
		MUST(found == matches(pattern, name));
	MUST(rf_glob_match(name, name));
	MUST(rf_glob_match("*", name));
	free(pattern);
	free(name);
	return 0;
}
