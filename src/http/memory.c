/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  libcurl's memory, wiped when it is given back.
 *
 * Called from libcurl's resolver threads, too: no state, and nothing but the
 * C library.  What is wiped is what the block can hold, for libcurl does not
 * say how much it used.
 *
 * IDENTIFICATION
 *	  src/http/memory.c
 *
 *-------------------------------------------------------------------------
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "http/memory.h"

static void wiping_free(void *block);
static void *wiping_realloc(void *block, size_t size);
static char *plain_strdup(const char *text);

CURLcode
rf_memory_global_init(void)
{
	return curl_global_init_mem(CURL_GLOBAL_ALL, malloc, wiping_free,
								wiping_realloc, plain_strdup, calloc);
}

static void
wiping_free(void *block)
{
	if (block == NULL)
		return;
	explicit_bzero(block, malloc_usable_size(block));
	free(block);
}

/* The library's own would leave the old bytes behind when it moves a block. */
static void *
wiping_realloc(void *block, size_t size)
{
	size_t		usable = block != NULL ? malloc_usable_size(block) : 0;
	void	   *longer;

	if (block != NULL && size <= usable)
		return block;
	longer = malloc(size);
	if (longer != NULL && block != NULL)
	{
		memcpy(longer, block, usable);
		wiping_free(block);
	}
	return longer;
}

static char *
plain_strdup(const char *text)
{
	size_t		size = strlen(text) + 1;
	char	   *copy = malloc(size);

	if (copy != NULL)
		memcpy(copy, text, size);
	return copy;
}
