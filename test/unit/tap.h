/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  The little of TAP that the unit tests need.
 *
 * Each test program includes this once, makes its checks, and returns
 * done_testing() from main().
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TEST_TAP_H
#define ROLEFERRY_TEST_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int	tap_count;
static int	tap_failed;

/* What must hold, as a sentence. */
__attribute__((format(printf, 2, 3), unused))
static bool
ok(bool holds, const char *format,...)
{
	va_list		args;

	tap_count++;
	if (!holds)
		tap_failed++;
	printf("%sok %d - ", holds ? "" : "not ", tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	return holds;
}

__attribute__((unused))
static bool
is_int(int64_t got, int64_t expected, const char *what)
{
	bool		holds = ok(got == expected, "%s", what);

	if (!holds)
		printf("# got %lld, expected %lld\n", (long long) got,
			   (long long) expected);
	return holds;
}

__attribute__((unused))
static bool
is_text(const char *got, const char *expected, const char *what)
{
	bool		holds;

	holds = ok(got != NULL && strcmp(got, expected) == 0, "%s", what);
	if (!holds)
		printf("# got      \"%s\"\n# expected \"%s\"\n",
			   got != NULL ? got : "(null)", expected);
	return holds;
}

__attribute__((unused))
static void
skip(const char *why)
{
	printf("ok %d # skip %s\n", ++tap_count, why);
}

__attribute__((unused))
static int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed > 0 ? 1 : 0;
}

#endif							/* ROLEFERRY_TEST_TAP_H */
