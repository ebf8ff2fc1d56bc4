/*-------------------------------------------------------------------------
 *
 * intake.h
 *	  The events of one request, and their rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_INTAKE_H
#define ROLEFERRY_INTAKE_H

#include "inbox/source.h"
#include "provider/events.h"

#define RF_CONTENT_KEY_BYTES 32

typedef enum RfFate
{
	RF_FATE_NEW,				/* not looked at yet */
	RF_FATE_APPLIED,
	RF_FATE_SHADOW,				/* recorded and nothing else */
	RF_FATE_DUPLICATE,			/* known: row_id and first are the first's */
	RF_FATE_QUEUED,				/* its handlers are left to jobs */
	RF_FATE_FAILED,				/* recorded; a handler failed */
	RF_FATE_DEAD				/* recorded; it cannot be read */
} RfFate;

typedef struct RfIncoming
{
	RfText		raw;
	RfEvent		event;
	char	   *event_id;		/* in the server's encoding */
	char	   *type;
	bool		has_content_key;
	unsigned char content_key[RF_CONTENT_KEY_BYTES];
	RfFate		fate;
	int64		row_id;			/* 0: no row yet */
	const char *first;			/* of a duplicate: what became of the first */
	const char *error;			/* of failed */
	List	   *pending;		/* handlers yet to succeed: int64 * */
	List	   *jobs;			/* that run them: int64 * */
	List	   *to_enqueue;		/* of these, those without a row: RfQueued * */
	bool		builtin_done;
	bool		untouched;		/* of a recorded one: nothing was tried yet */
} RfIncoming;

typedef struct RfIntake
{
	const RfSource *source;
	RfIncoming *events;
	int			nevents;
} RfIntake;

/*
 * Splits a verified body; it must live as long as the intake.  False: more
 * events than a request may have.
 */
extern bool rf_intake_read(const RfSource *source, RfText body, const RfSigned *what,
						   RfIntake *intake);
extern void rf_intake_free(RfIntake *intake);

/*
 * Writes a row for each event that has none; connected to SPI.  Known events
 * become duplicates, also those that another transaction is about to commit.
 */
extern void rf_intake_record(const RfIntake *intake, RfIncoming *events, int nevents);

/* Writes what became of one whose row is there. */
extern void rf_intake_settle(const RfIncoming *event);

/* Stable words: what status says in roleferry.webhook_event. */
extern const char *rf_fate_text(RfFate fate);

/* The same of an event, as it stands now. */
extern const char *rf_intake_status(const RfIncoming *event);

#endif							/* ROLEFERRY_INTAKE_H */
