/*-------------------------------------------------------------------------
 *
 * receipt.c
 *	  What a caller of send_email() is told.
 *
 * IDENTIFICATION
 *	  src/outbox/receipt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "outbox/receipt.h"
#include "outbox/statement.h"

static void copy_text(char *target, size_t size, int column);

void
rf_receipt_init(RfReceipt *receipt, const char *status, int64_t job_id)
{
	memset(receipt, 0, sizeof(*receipt));
	receipt->job_id = job_id;
	strlcpy(receipt->status, status, sizeof(receipt->status));
}

void
rf_receipt_fail(RfReceipt *receipt, int sqlerrcode, const char *message,
				const char *hint)
{
	rf_receipt_init(receipt, "", 0);
	receipt->sqlerrcode = sqlerrcode;
	strlcpy(receipt->reason, message, sizeof(receipt->reason));
	strlcpy(receipt->hint, hint, sizeof(receipt->hint));
}

void
rf_receipt_find(int64_t job_id, RfReceipt *receipt)
{
	static RfStatement find = {
		"SELECT 'sent', m.http_status, m.provider, m.message_id, m.note FROM roleferry.message AS m"
		" WHERE m.job_id OPERATOR(pg_catalog.=) $1"
		" UNION ALL SELECT d.state, d.http_status, NULL, NULL, d.reason FROM roleferry.dead_letter AS d"
		" WHERE d.job_id OPERATOR(pg_catalog.=) $1"
		" UNION ALL SELECT CASE WHEN o.worker IS NULL THEN 'queued' ELSE 'running' END, NULL, NULL, NULL, NULL"
		" FROM roleferry.outbox AS o WHERE o.id OPERATOR(pg_catalog.=) $1",
		1, {INT8OID}, NULL
	};
	Datum		id = Int64GetDatum(job_id);
	Datum		status;
	bool		isnull;

	rf_receipt_init(receipt, "queued", job_id);
	if (rf_statement_run(&find, &id, NULL) == 0)
	{
		/* Its record was kept as long as the settings say, and is gone. */
		strlcpy(receipt->status, "unknown", sizeof(receipt->status));
		strlcpy(receipt->reason, "the job with this idempotency_key has no record any more",
				sizeof(receipt->reason));
		return;
	}
	copy_text(receipt->status, sizeof(receipt->status), 1);
	status = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
	receipt->http_status = isnull ? 0 : DatumGetInt32(status);
	copy_text(receipt->provider, sizeof(receipt->provider), 3);
	copy_text(receipt->message_id, sizeof(receipt->message_id), 4);
	copy_text(receipt->reason, sizeof(receipt->reason), 5);
}

static void
copy_text(char *target, size_t size, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	strlcpy(target, value ? value : "", size);
}
