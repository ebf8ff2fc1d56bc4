/*-------------------------------------------------------------------------
 *
 * depth.h
 *	  How many jobs a queue may hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_DEPTH_H
#define ROLEFERRY_DEPTH_H

/*
 * In a session that puts a job into the queue: raises, or warns once a
 * transaction, if it is full.
 */
extern void rf_depth_enter(const char *queue);

#endif							/* ROLEFERRY_DEPTH_H */
