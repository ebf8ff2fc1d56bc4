/*-------------------------------------------------------------------------
 *
 * relation.h
 *	  The extension's relations by name, found once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_RELATION_H
#define ROLEFERRY_RELATION_H

/* Those that are asked for each mail. */
typedef enum RfRelation
{
	RF_RELATION_OUTBOX,
	RF_RELATION_OUTBOX_ID_SEQ,
	RF_RELATION_OUTBOX_ORDER_KEY_IDX,
	RF_RELATION_SUPPRESSION,
	RF_RELATION_SUPPRESSION_KEY,
	RF_RELATIONS				/* how many */
} RfRelation;

/* Its oid; InvalidOid where this database has none. */
extern Oid	rf_relation_find(RfRelation which);

/* The same, where it has to be there. */
extern Oid	rf_relation_oid(RfRelation which);

#endif							/* ROLEFERRY_RELATION_H */
