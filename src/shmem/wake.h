/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  Telling the dispatcher, at commit, where new jobs stand.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WAKE_H
#define ROLEFERRY_WAKE_H

#include "shmem/shared.h"

/* In a session: this transaction has put a job here; tell when it commits. */
extern void rf_wake_note(int64 lane, int priority, int64 run_at);

/* In a session: whatever changed, look everywhere when this commits. */
extern void rf_wake_note_everything(void);

/* In a session: look everywhere, though nothing has changed. */
extern void rf_wake_now(void);

/* Limits or forced circuits were changed: read them again. */
extern void rf_wake_note_rules(void);

/*
 * In the dispatcher: take the hints posted so far.  Copies at most
 * RF_MAX_WAKE_HINTS to hints and returns how many; *look_everywhere: they do
 * not tell it all.
 */
extern int	rf_wake_take(RfDispatcherSlot *slot, RfWakeHint *hints,
						 bool *look_everywhere);

/* Was something posted since the last rf_wake_take()? */
extern bool rf_wake_pending(RfDispatcherSlot *slot);

/* Do the hints not tell it all?  Somebody may want an answer, so look now. */
extern bool rf_wake_everywhere(RfDispatcherSlot *slot);

#endif							/* ROLEFERRY_WAKE_H */
