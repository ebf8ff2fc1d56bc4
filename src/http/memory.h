/*-------------------------------------------------------------------------
 *
 * memory.h
 *	  libcurl's memory, wiped when it is given back.
 *
 * The buffers in which libcurl puts a request together hold its key. Without
 * this they would still hold it when they are free, until something else
 * happens to be written there, and a core dump would show it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HTTP_MEMORY_H
#define ROLEFERRY_HTTP_MEMORY_H

#include <curl/curl.h>

/* Instead of curl_global_init().  Without effect if somebody came first. */
extern CURLcode rf_memory_global_init(void);

#endif							/* ROLEFERRY_HTTP_MEMORY_H */
