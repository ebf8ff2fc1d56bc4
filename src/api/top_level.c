/*-------------------------------------------------------------------------
 *
 * top_level.c
 *	  May something that cannot be taken back happen in this call?
 *
 * A mail that was sent cannot be unsent, so nothing that could fail may stand
 * behind it in its transaction.  Hooks know which statement a client's portal
 * is running directly; its plan must consist of the one call:
 *
 *	SELECT * FROM f(...)		SELECT f(...)		SELECT (f(...)).*
 *
 * with nothing above it but columns of the result and expressions that cannot
 * fail.  Arguments may be anything:
 * they are evaluated before the call.  What writes takes a transaction id, and
 * an argument that has written would be taken back by the call's own errors.
 *
 * IDENTIFICATION
 *	  src/api/top_level.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"

/* Up to 15 its walkers take arguments of any kind. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include "nodes/nodeFuncs.h"
#pragma GCC diagnostic pop

#include "compat.h"
#include "api/top_level.h"

typedef struct Search
{
	const Node *call;			/* the expression that is being evaluated */
	int			found;
} Search;

static ExecutorRun_hook_type next_run = NULL;
static ExecutorFinish_hook_type next_finish = NULL;
static ProcessUtility_hook_type next_utility = NULL;

static int	executor_depth = 0; /* of statements inside statements */
static int	utility_depth = 0;	/* EXECUTE not counted */
static int	execute_depth = 0;
static QueryDesc *outermost = NULL; /* what a client runs, at depth 1 */

static void executor_run(RF_EXECUTOR_RUN_PARAMS);
static void executor_finish(QueryDesc *queryDesc);
static void process_utility(PlannedStmt *pstmt, const char *queryString,
							bool readOnlyTree, ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *queryEnv,
							DestReceiver *dest, QueryCompletion *qc);
static bool client_runs(const QueryDesc *queryDesc);
static bool transaction_is_untouched(void);
static bool plan_is_the_call(const Plan *plan, Search *search);
static bool finds_other(Node *node, void *context);
static bool function_can_fail(Oid function, void *context);

void
rf_top_level_install_hooks(void)
{
	next_run = ExecutorRun_hook ? ExecutorRun_hook : standard_ExecutorRun;
	ExecutorRun_hook = executor_run;
	next_finish = ExecutorFinish_hook ? ExecutorFinish_hook : standard_ExecutorFinish;
	ExecutorFinish_hook = executor_finish;
	next_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = process_utility;
}

bool
rf_top_level_is_alone(FunctionCallInfo fcinfo)
{
	const PlannedStmt *statement;
	Search		search;

	if (executor_depth != 1 || outermost == NULL || !transaction_is_untouched())
		return false;
	statement = outermost->plannedstmt;
	if (statement->commandType != CMD_SELECT || statement->hasModifyingCTE ||
		statement->rowMarks != NIL)
		return false;

	search.call = fcinfo->flinfo->fn_expr;
	search.found = 0;
	if (search.call == NULL || !plan_is_the_call(statement->planTree, &search) ||
		search.found != 1)
		return false;

	/* In a pipeline, too, the transaction ends here. */
	MyXactFlags |= XACT_FLAGS_NEEDIMMEDIATECOMMIT;
	return true;
}

static void
executor_run(RF_EXECUTOR_RUN_PARAMS)
{
	QueryDesc  *previous = outermost;

	if (executor_depth == 0)
		outermost = client_runs(queryDesc) ? queryDesc : NULL;
	executor_depth++;
	PG_TRY();
	{
		next_run(RF_EXECUTOR_RUN_ARGS);
	}
	PG_FINALLY();
	{
		executor_depth--;
		outermost = previous;
	}
	PG_END_TRY();
}

/* Where AFTER triggers fire. */
static void
executor_finish(QueryDesc *queryDesc)
{
	executor_depth++;
	PG_TRY();
	{
		next_finish(queryDesc);
	}
	PG_FINALLY();
	{
		executor_depth--;
	}
	PG_END_TRY();
}

/*
 * What runs inside DO, CALL, COPY, EXPLAIN ... is no client's statement.  What
 * EXECUTE runs is.
 */
static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *queryEnv, DestReceiver *dest,
				QueryCompletion *qc)
{
	int		   *volatile counter = IsA(pstmt->utilityStmt, ExecuteStmt) ?
		&execute_depth : &utility_depth;

	(*counter)++;
	PG_TRY();
	{
		next_utility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
	}
	PG_FINALLY();
	{
		(*counter)--;
	}
	PG_END_TRY();
}

/*
 * Only a client's own portal is run without a utility command around it; a
 * procedural language's loops over portals of its own, which have no name that
 * anybody gave them.  A cursor WITH HOLD is run by the commit.
 */
static bool
client_runs(const QueryDesc *queryDesc)
{
	static const char unnamed[] = "<unnamed portal";
	Portal		portal = ActivePortal;

	if (MyBackendType != B_BACKEND || utility_depth > 0 || !PortalIsValid(portal) ||
		portal->strategy != PORTAL_ONE_SELECT || portal->queryDesc != queryDesc ||
		(portal->cursorOptions & CURSOR_OPT_HOLD) != 0)
		return false;
	return execute_depth == 1 ||
		(execute_depth == 0 && strncmp(portal->name, unnamed, strlen(unnamed)) != 0);
}

static bool
transaction_is_untouched(void)
{
	return !IsTransactionBlock() && !IsSubTransaction() &&
		(MyXactFlags & XACT_FLAGS_PIPELINING) == 0 &&
		!TransactionIdIsValid(GetTopTransactionIdIfAny());
}

static bool
plan_is_the_call(const Plan *plan, Search *search)
{
	if (plan->righttree != NULL)
		return false;
	switch (nodeTag(plan))
	{
		case T_FunctionScan:
			{
				const FunctionScan *scan = (const FunctionScan *) plan;
				const RangeTblFunction *function = linitial(scan->functions);

				if (list_length(scan->functions) != 1 ||
					finds_other(function->funcexpr, search))
					return false;
				break;
			}
		case T_Result:
			if (((const Result *) plan)->resconstantqual != NULL)
				return false;
			break;
		case T_ProjectSet:
			break;
		default:
			return false;
	}
	if (finds_other((Node *) plan->targetlist, search) ||
		finds_other((Node *) plan->qual, search))
		return false;
	return plan->lefttree == NULL || plan_is_the_call(plan->lefttree, search);
}

/*
 * Anything but the call, columns, constants, and what cannot fail over them?
 * A leakproof function is one that raises for no value it is given.  Does not
 * look into the call.
 */
static bool
finds_other(Node *node, void *context)
{
	Search	   *search = context;

	if (node == NULL)
		return false;
	if (node == search->call)
	{
		search->found++;
		return false;
	}
	switch (nodeTag(node))
	{
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
			return check_functions_in_node(node, function_can_fail, NULL) ||
				expression_tree_walker(node, finds_other, context);
		case T_List:
		case T_TargetEntry:
		case T_FieldSelect:
		case T_RelabelType:
		case T_Var:
		case T_Const:
		case T_NullTest:
		case T_BooleanTest:
		case T_BoolExpr:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
			return expression_tree_walker(node, finds_other, context);
		default:
			return true;
	}
}

static bool
function_can_fail(Oid function, void *context)
{
	return func_volatile(function) == PROVOLATILE_VOLATILE ||
		!get_func_leakproof(function);
}
