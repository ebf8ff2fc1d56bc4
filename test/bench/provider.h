/*-------------------------------------------------------------------------
 *
 * provider.h
 *	  What the files of the bench's provider share; see provider.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_BENCH_PROVIDER_H
#define ROLEFERRY_BENCH_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define UNNAMED UINT64_MAX

typedef enum RequestKind
{
	REQUEST_MAIL,
	REQUEST_SEARCH,
	REQUEST_STRANGE
} RequestKind;

/* What was taken since the last reset. */
typedef struct Journal
{
	uint64_t	requests;
	uint64_t	distinct;		/* numbers that came at least once */
	uint64_t	duplicates;		/* requests whose number had come before */
	uint64_t	unnamed;		/* mails without a number */
	uint64_t	searches;
	uint64_t	refused;		/* neither a mail nor answered */
	uint64_t	bytes;			/* of all requests, headers included */
	int64_t		first_us;		/* first byte of the first request */
	int64_t		last_us;		/* and of the last one */
} Journal;

/* journal.c */
extern Journal journal;

extern void journal_reset(void);
extern void journal_take(const char *request, size_t length, int64_t at_us);
extern void journal_refuse(void);
extern void journal_print_arrivals(FILE *out);
extern void journal_print_timeline(FILE *out);

/* message.c */
extern size_t request_length(const char *request, size_t used);
extern RequestKind request_kind(const char *request);
extern uint64_t request_number(const char *request, size_t length);
extern size_t answer_text(RequestKind kind, const char **text);

/* control.c */
extern void control_accept(int listening_fd);
extern void control_answer_waits(void);

/* socket.c */
extern int64_t clock_us(void);
extern int	listen_on_loopback(void);
extern int	port_of(int fd);
extern int	accept_quickly(int listening_fd);
extern int	connect_to_loopback(int port);
extern void die(const char *what) __attribute__((noreturn));

#endif
