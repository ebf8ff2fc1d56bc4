/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  Prepared statements of ours, and arrays to feed them with.
 *
 * A statement is a static struct: text and argument types, planned at its
 * first use in this process and kept.  All names in the text are qualified.
 * The caller is connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_STATEMENT_H
#define ROLEFERRY_STATEMENT_H

#include "executor/spi.h"
#include "nodes/pg_list.h"

#define RF_STATEMENT_MAX_ARGS 20

typedef struct RfStatement
{
	const char *sql;
	int			nargs;
	Oid			types[RF_STATEMENT_MAX_ARGS];
	SPIPlanPtr	plan;			/* NULL until first used */
} RfStatement;

/*
 * Run it; nulls as SPI takes them, or NULL.  Rows are in SPI_tuptable.
 * Returns how many rows were returned or changed.  Raises on failure.
 */
extern uint64 rf_statement_run(RfStatement *statement, Datum *values,
							   const char *nulls);

/*
 * For a session: rows as they are now, whatever snapshot its transaction has.
 * Only reads.
 */
extern uint64 rf_statement_read_latest(RfStatement *statement, Datum *values);

/* One column of values, becoming an array argument. */
typedef struct RfColumn
{
	Oid			type;
	struct ArrayBuildState *state;
} RfColumn;

extern void rf_column_init(RfColumn *column, Oid type);
extern void rf_column_add(RfColumn *column, Datum value, bool isnull);

/* Text in UTF-8 from outside: made fit for this database, NULL stays NULL. */
extern void rf_column_add_text(RfColumn *column, const char *utf8);

extern Datum rf_column_array(RfColumn *column);

/* Ids as an array argument. */
extern Datum rf_id_array(const int64 *ids, int nids);

/* An interval column in microseconds, a month being 30 days; NULL is 0. */
extern int64 rf_interval_us(HeapTuple row, TupleDesc desc, int column);

/* A text[] value as a List of char *, palloc'd; NULL is NIL. */
extern List *rf_name_list(Datum array, bool isnull);

/* UTF-8 text made fit for this database's encoding; what has no place there becomes '?'. */
extern char *rf_text_to_server(const char *utf8);

#endif							/* ROLEFERRY_STATEMENT_H */
