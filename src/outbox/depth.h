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
 * A job is put into the queue.  If that is full: raises, or warns once a
 * transaction, unless it has to go in.
 */
extern void rf_depth_enter(const char *queue, bool must);

#endif							/* ROLEFERRY_DEPTH_H */
