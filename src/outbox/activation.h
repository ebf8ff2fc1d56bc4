/*-------------------------------------------------------------------------
 *
 * activation.h
 *	  May this database send at all?
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ACTIVATION_H
#define ROLEFERRY_ACTIVATION_H

#define RF_INSTALLATION_MAX 32

typedef enum RfActivationState
{
	RF_ACTIVATION_NONE,			/* never activated, a restored copy, or
								 * deactivated */
	RF_ACTIVATION_FOREIGN,		/* the row names another cluster or database */
	RF_ACTIVATION_ACTIVE
} RfActivationState;

/* In a transaction, connected to SPI; installation is set when active. */
extern RfActivationState rf_activation_read(char installation[RF_INSTALLATION_MAX]);

#endif							/* ROLEFERRY_ACTIVATION_H */
