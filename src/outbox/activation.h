/*-------------------------------------------------------------------------
 *
 * activation.h
 *	  May this database send at all, and if not, why?
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ACTIVATION_H
#define ROLEFERRY_ACTIVATION_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"

#define RF_INSTALLATION_MAX 32
#define RF_ACTIVATION_WHY_MAX 256

typedef enum RfActivationState
{
	RF_ACTIVATION_NEVER,		/* no row: never activated, or a logical copy */
	RF_ACTIVATION_STANDBY,		/* in recovery */
	RF_ACTIVATION_CLUSTER,		/* the row names another cluster */
	RF_ACTIVATION_DATABASE,		/* the row names another database */
	RF_ACTIVATION_RESTORED,		/* restored to a point in time since */
	RF_ACTIVATION_FORKED,		/* on another timeline, and nothing says why */
	RF_ACTIVATION_HELD,			/* promoted, and told to hold then */
	RF_ACTIVATION_PROMOTED,		/* promoted: may go on when that is recorded */
	RF_ACTIVATION_OFF,			/* deactivated here */
	RF_ACTIVATION_ACTIVE
} RfActivationState;

/* installation and activated_at are set when active, why when not. */
typedef struct RfActivation
{
	RfActivationState state;
	char		installation[RF_INSTALLATION_MAX];
	TimestampTz activated_at;
	TimeLineID	timeline;		/* as the row has it */
	char		why[RF_ACTIVATION_WHY_MAX];
} RfActivation;

/* In a transaction, by its active snapshot. */
extern void rf_activation_read(RfActivation *activation);

/* After a promotion that may go on: the row follows to this timeline.  By SPI. */
extern void rf_activation_follow(const RfActivation *activation);

/*
 * Are the rows this life's own?  False: a copy, to be left as it was made
 * until somebody activates it.
 */
extern bool rf_activation_own(const RfActivation *activation);

extern const char *rf_activation_state_text(RfActivationState state);

#endif							/* ROLEFERRY_ACTIVATION_H */
