/*-------------------------------------------------------------------------
 *
 * fault.h
 *	  Named points at which a test can make this process fail.
 *
 * Only in builds with -DRF_FAULTS (make FAULTS=1); otherwise RF_FAULT() is
 * nothing.  Actions: "error" (ereport ERROR), "fatal" (ereport FATAL), "kill" (SIGKILL to itself),
 * "segv" (SIGSEGV to itself), "stop" (SIGSTOP to itself), "sleep" (2 s).
 * RF_FAULT_FAILS() is true where the action is "fail", and otherwise false.
 *
 * RF_FAULT_CHECK_IDLE() stops such a build with a PANIC where interrupts are
 * held off though nothing is being done: a signal handler ran where it must
 * not.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_FAULT_H
#define ROLEFERRY_FAULT_H

#ifdef RF_FAULTS
extern void rf_fault_reach(const char *name);
extern bool rf_fault_fails(const char *name);
extern void rf_fault_check_idle(void);
#define RF_FAULT(name) rf_fault_reach(name)
#define RF_FAULT_FAILS(name) rf_fault_fails(name)
#define RF_FAULT_CHECK_IDLE() rf_fault_check_idle()
#else
#define RF_FAULT(name) ((void) 0)
#define RF_FAULT_FAILS(name) false
#define RF_FAULT_CHECK_IDLE() ((void) 0)
#endif

#endif							/* ROLEFERRY_FAULT_H */
