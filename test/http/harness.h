/*-------------------------------------------------------------------------
 *
 * harness.h
 *	  What the tests of the HTTP engine share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TEST_HARNESS_H
#define ROLEFERRY_TEST_HARNESS_H

#include <stdio.h>
#include <string.h>

#include "http/engine.h"

/* Ports of test/http/server.py. */
typedef struct Ports
{
	int			server;
	int			expired;
	int			wronghost;
	int			selfsigned;
	int			plain;
	int			tarpit;
	int			proxy;
	int			counts;
} Ports;

extern Ports ports;
extern const char *work_directory;
extern RfHttpEngine *engine;

extern int64_t clock_us(void);

/* Settings that reach the server; tests change single members and apply them. */
extern RfHttpConfig usual_config(void);
extern void configure(const RfHttpConfig *config);

/* https://localhost:PORT/BEHAVIOUR/KEY, with a small JSON body. */
extern void prepare(RfTransfer *transfer, int port, const char *behaviour,
					const char *key);
extern void prepare_url(RfTransfer *transfer, const char *url);
extern void make_form(RfTransfer *transfer);	/* fields instead of the body */

extern void perform(RfTransfer *transfer);	/* start and run to the end */
extern void run_until_finished(RfTransfer **transfers, int count);

/* Whatever finishes meanwhile is lost. */
extern void run_for(int64_t duration_us);

/* prepare, perform; the caller releases. */
extern void request(RfTransfer *transfer, int port, const char *behaviour,
					const char *key);

extern int	seen(const char *key);	/* requests the server has read */
extern int	open_descriptors(void);

/* TAP, counted over all files of the harness. */
__attribute__((format(printf, 2, 3)))
extern bool ok(bool holds, const char *format,...);
extern void is_int(int64_t got, int64_t expected, const char *what);
extern void is_text(const char *got, const char *expected, const char *what);
extern void skip(const char *why);
extern void is_end(const RfTransfer *transfer, RfTransferEnd end,
				   const char *why, const char *what);
extern void took(const RfTransfer *transfer, int64_t expected_ms,
				 const char *what);

extern void test_answers(void);
extern void test_failures(void);
extern void test_process(void);
extern void test_hosts(void);

#endif							/* ROLEFERRY_TEST_HARNESS_H */
