/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The only file that asks for PostgreSQL's version.
 *
 * Each block offers the newest spelling to the rest of the code and says when
 * it can go.  Supported: PostgreSQL 15 to 18.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_COMPAT_H
#define ROLEFERRY_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "roleferry needs PostgreSQL 15 or newer"
#endif

/* Drop with 15: varatt macros have a header of their own since 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Drop with 17: the mark stands before the declaration since 18. */
#ifndef pg_noreturn
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Drop with 15: one function checks the rights on any object since 16. */
#include "utils/acl.h"
#if PG_VERSION_NUM >= 160000
#define rf_server_aclcheck(serverid, roleid, mode) \
	object_aclcheck(ForeignServerRelationId, (serverid), (roleid), (mode))
#else
#define rf_server_aclcheck(serverid, roleid, mode) \
	pg_foreign_server_aclcheck((serverid), (roleid), (mode))
#endif

#if PG_VERSION_NUM >= 160000
#define rf_function_aclcheck(function, roleid, mode) \
	object_aclcheck(ProcedureRelationId, (function), (roleid), (mode))
#define rf_database_aclcheck(database, roleid, mode) \
	object_aclcheck(DatabaseRelationId, (database), (roleid), (mode))
#else
#define rf_function_aclcheck(function, roleid, mode) \
	pg_proc_aclcheck((function), (roleid), (mode))
#define rf_database_aclcheck(database, roleid, mode) \
	pg_database_aclcheck((database), (roleid), (mode))
#endif

/* Drop with 15: a membership may leave out the right to act as the role since 16. */
#if PG_VERSION_NUM >= 160000
#define rf_member_can_act_as(member, role)	member_can_set_role((member), (role))
#else
#define rf_member_can_act_as(member, role)	is_member_of_role((member), (role))
#endif

/* Drop with 15: likewise for ownership. */
#if PG_VERSION_NUM >= 160000
#define rf_database_ownercheck(database, roleid) \
	object_ownercheck(DatabaseRelationId, (database), (roleid))
#else
#define rf_database_ownercheck(database, roleid) \
	pg_database_ownercheck((database), (roleid))
#endif
#if PG_VERSION_NUM >= 160000
#define rf_extension_ownercheck(extension, roleid) \
	object_ownercheck(ExtensionRelationId, (extension), (roleid))
#else
#define rf_extension_ownercheck(extension, roleid) \
	pg_extension_ownercheck((extension), (roleid))
#endif

/* Drop with 15: inserting into indexes knows of summarizing ones since 16. */
#if PG_VERSION_NUM >= 160000
#define rf_insert_index_tuples(target, slot, estate) \
	ExecInsertIndexTuples((target), (slot), (estate), false, false, NULL, NIL, false)
#else
#define rf_insert_index_tuples(target, slot, estate) \
	ExecInsertIndexTuples((target), (slot), (estate), false, false, NULL, NIL)
#endif

/* Drop with 16: an index may have kept something between two rows since 17. */
#if PG_VERSION_NUM >= 170000
#define rf_index_insert_cleanup(index, info) index_insert_cleanup((index), (info))
#else
#define rf_index_insert_cleanup(index, info) ((void) (index), (void) (info))
#endif

/* Drop with 15: an update says which indexes it is for since 16. */
#if PG_VERSION_NUM >= 160000
#define RfIndexesToUpdate TU_UpdateIndexes
#define rf_needs_indexes(indexes) ((indexes) != TU_None)
#define rf_update_index_tuples(target, slot, estate, indexes) \
	ExecInsertIndexTuples((target), (slot), (estate), false, false, NULL, NIL, \
						  (indexes) == TU_Summarizing)
#else
#define RfIndexesToUpdate bool
#define rf_needs_indexes(indexes) (indexes)
#define rf_update_index_tuples(target, slot, estate, indexes) \
	rf_insert_index_tuples((target), (slot), (estate))
#endif

/* Drop with 16: wait event sets belong to a resource owner since 17. */
#if PG_VERSION_NUM >= 170000
#define rf_create_wait_event_set(nevents) CreateWaitEventSet(NULL, (nevents))
#else
#define rf_create_wait_event_set(nevents) \
	CreateWaitEventSet(TopMemoryContext, (nevents))
#endif

/* Drop with 16: extensions name their own wait events since 17. */
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#define rf_wait_event_new(name) WaitEventExtensionNew(name)
#else
#include "pgstat.h"
#define rf_wait_event_new(name) PG_WAIT_EXTENSION
#endif

/* Drop with 16: a worker may connect as a role without LOGIN since 17. */
#if PG_VERSION_NUM >= 170000
#define RF_EXECUTORS_NEED_LOGIN false
#define RF_EXECUTOR_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define RF_EXECUTORS_NEED_LOGIN true
#define RF_EXECUTOR_FLAGS 0
#endif

/* Drop with 16: backends are numbered by ProcNumber since 17. */
#if PG_VERSION_NUM >= 170000
#define rf_my_proc_number() ((int) MyProcNumber)
#define rf_proc_latch(number) (&GetPGProcByNumber(number)->procLatch)
#else
#define rf_my_proc_number() (MyProc->pgprocno)
#define rf_proc_latch(number) (&ProcGlobal->allProcs[number].procLatch)
#endif

/* Drop with 17: the module's name and version are readable since 18. */
#if PG_VERSION_NUM >= 180000
#define RF_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "roleferry", .version = RF_VERSION)
#else
#define RF_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* Drop with 17: the executor is told how much to run, not how often, since 18. */
#if PG_VERSION_NUM >= 180000
#define RF_EXECUTOR_RUN_PARAMS \
	QueryDesc *queryDesc, ScanDirection direction, uint64 count
#define RF_EXECUTOR_RUN_ARGS queryDesc, direction, count
#else
#define RF_EXECUTOR_RUN_PARAMS \
	QueryDesc *queryDesc, ScanDirection direction, uint64 count, bool execute_once
#define RF_EXECUTOR_RUN_ARGS queryDesc, direction, count, execute_once
#endif

/* Drop with 17: binary data is uint8, not char, to base64 since 18. */
#include "common/base64.h"
#if PG_VERSION_NUM >= 180000
#define rf_b64_encode(src, len, dst, dstlen) \
	pg_b64_encode((const uint8 *) (src), (len), (dst), (dstlen))
#else
#define rf_b64_encode(src, len, dst, dstlen) \
	pg_b64_encode((src), (len), (dst), (dstlen))
#endif

/* Drop with 17: a deferrable primary key has to be asked for since 18. */
#if PG_VERSION_NUM >= 180000
#define rf_primary_key(relation) RelationGetPrimaryKeyIndex((relation), false)
#else
#define rf_primary_key(relation) RelationGetPrimaryKeyIndex(relation)
#endif

/* Drop with 17: a scan may count what it does since 18. */
#if PG_VERSION_NUM >= 180000
#define rf_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan((table), (index), (snapshot), NULL, (nkeys), 0)
#else
#define rf_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan((table), (index), (snapshot), (nkeys), 0)
#endif

/* Drop with 15: what hooks of settings allocate has a function since 16. */
#if PG_VERSION_NUM >= 160000
#define rf_guc_malloc(size) guc_malloc(LOG, (size))
#else
#define rf_guc_malloc(size) malloc(size)
#endif

#endif							/* ROLEFERRY_COMPAT_H */
