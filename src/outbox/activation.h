/*-------------------------------------------------------------------------
 *
 * activation.h
 *	  May this database send at all?
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ACTIVATION_H
#define ROLEFERRY_ACTIVATION_H

#include "datatype/timestamp.h"

#define RF_INSTALLATION_MAX 32

typedef enum RfActivationState
{
	RF_ACTIVATION_NONE,			/* never activated, a restored copy, or
								 * deactivated */
	RF_ACTIVATION_FOREIGN,		/* the row names another cluster or database */
	RF_ACTIVATION_ACTIVE
} RfActivationState;

/* installation and activated_at are set when active. */
typedef struct RfActivation
{
	RfActivationState state;
	char		installation[RF_INSTALLATION_MAX];
	TimestampTz activated_at;
} RfActivation;

/* In a transaction, connected to SPI. */
extern void rf_activation_read(RfActivation *activation);

#endif							/* ROLEFERRY_ACTIVATION_H */
