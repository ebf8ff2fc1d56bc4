/*-------------------------------------------------------------------------
 *
 * glob.c
 *	  Does a name match a pattern with asterisks?
 *
 * Without recursion: a later asterisk makes it needless to go back before it.
 * So the time is at most the product of both lengths.
 *
 * IDENTIFICATION
 *	  src/core/glob.c
 *
 *-------------------------------------------------------------------------
 */
#include <stddef.h>

#include "core/glob.h"

bool
rf_glob_match(const char *pattern, const char *name)
{
	const char *after_star = NULL;	/* in the pattern */
	const char *taken = NULL;	/* what the last asterisk stands for ends here */

	while (*name != '\0')
	{
		if (*pattern == '*')
		{
			after_star = ++pattern;
			taken = name;
		}
		else if (*pattern == *name)
		{
			pattern++;
			name++;
		}
		else if (after_star != NULL)
		{
			pattern = after_star;
			name = ++taken;
		}
		else
			return false;
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
