/*-------------------------------------------------------------------------
 *
 * receipt.h
 *	  What a caller of send_email() is told.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RECEIPT_H
#define ROLEFERRY_RECEIPT_H

#include "core/outcome.h"

/*
 * Fixed in size, so that it travels between processes as it is.  Texts of
 * providers are UTF-8.
 */
typedef struct RfReceipt
{
	int			sqlerrcode;		/* 0: a receipt; else an error, and reason its
								 * message */
	int			http_status;	/* 0: none */
	int64_t		job_id;
	char		status[16];		/* "sent", "queued", "running", "failed", ... */
	char		provider[32];	/* empty: none */
	char		message_id[RF_MESSAGE_ID_MAX + 1];
	char		reason[RF_REASON_MAX + 1];
	char		hint[RF_REASON_MAX + 1];	/* of an error */
} RfReceipt;

extern void rf_receipt_init(RfReceipt *receipt, const char *status, int64_t job_id);

/* The call becomes an error with this message. */
extern void rf_receipt_fail(RfReceipt *receipt, int sqlerrcode,
							const char *message, const char *hint);

/*
 * How a job stands now, whoever enqueued it.  Connected to SPI, with the right
 * to read the tables.
 */
extern void rf_receipt_find(int64_t job_id, RfReceipt *receipt);

#endif							/* ROLEFERRY_RECEIPT_H */
