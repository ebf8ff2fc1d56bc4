/*
 * What cppcheck has to know of PostgreSQL instead of its headers, which take
 * a minute and confuse it: that some macros are loops and blocks, and that
 * some calls do not return.  Never compiled.
 */
#define PG_VERSION_NUM 150000
#define LIBCURL_VERSION_NUM 0x075800
#define CppAsString(identifier) #identifier
#define CppAsString2(macro) #macro

#define PG_FUNCTION_INFO_V1(name) extern Datum name(PG_FUNCTION_ARGS)
#define PG_FUNCTION_ARGS FunctionCallInfo fcinfo
#define PG_MODULE_MAGIC extern int module_magic
#define PGDLLEXPORT
#define PGDLLIMPORT
#define FLEXIBLE_ARRAY_MEMBER
#define pg_attribute_printf(format, arguments)
#define pg_attribute_noreturn()
#define pg_attribute_unused()
#define PG_USED_FOR_ASSERTS_ONLY
#define UINT64CONST(number) number##ULL
#define INT64CONST(number) number##LL

#define foreach(cell, list) for (cell = list_head(list); cell != NULL; cell = lnext(list, cell))
#define PG_TRY() do { if (sigsetjmp(local_sigjmp_buf, 0) == 0) {
#define PG_CATCH() } else {
#define PG_FINALLY() } {
#define PG_END_TRY() } } while (0)
#define PG_RE_THROW() abort()

#define ERROR 21
#define FATAL 22
#define PANIC 23
#define ereport(level, ...) do { (void) (__VA_ARGS__); if ((level) >= ERROR) abort(); } while (0)
#define elog(level, ...) do { rf_lint_log(__VA_ARGS__); if ((level) >= ERROR) abort(); } while (0)
#define proc_exit(status) exit(status)
#define Assert(condition) do { if (!(condition)) abort(); } while (0)
#define StaticAssertStmt(condition, message)
#define StaticAssertDecl(condition, message) extern int static_assertion
