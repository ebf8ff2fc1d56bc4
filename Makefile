# roleferry: build and install with PGXS.  Everything else (tests, demo) is a
# command under script/; see CONTRIBUTING.md.

EXTENSION  = roleferry
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)

PG_CONFIG ?= pg_config

MODULE_big = $(EXTENSION)
OBJS       = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA       = $(filter-out $(DATA_built),$(wildcard sql/$(EXTENSION)--*.sql))

# Symbols stay visible: PostgreSQL 15 has no export mark for SQL functions, so
# every global name carries the prefix rf_ or roleferry_ instead.  A copy of the
# library that comes from another path than the one loaded first keeps to its
# own (-Bsymbolic): two versions never call each other.
PG_CPPFLAGS = -I$(srcdir)/src -DRF_VERSION='"$(EXTVERSION)"'
PG_CFLAGS   = -std=gnu11 -MMD -MP
SHLIB_LINK  = -lcurl -lssl -lcrypto -ljansson -Wl,-Bsymbolic

# "make FAULTS=1" compiles the fault points in.  For tests only; run "make
# clean" when changing between the two builds.
ifdef FAULTS
PG_CPPFLAGS += -DRF_FAULTS
endif

# "make installcheck" needs a running server that has the extension installed
# and preloaded.  Inputs are in test/sql and test/isolation/specs, expected
# output in expected/ and test/isolation/expected.
# script/test needs neither and runs more.
REGRESS        = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS   = --inputdir=test --load-extension=$(EXTENSION)

# Where the program for them is installed.
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifneq ($(wildcard $(dir $(PGXS))../test/isolation/pg_isolation_regress),)
ISOLATION      = $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=$(EXTENSION) \
	$(if $(filter 15,$(MAJORVERSION)),,--expecteddir=test/isolation)
endif

EXTRA_CLEAN = $(OBJS:.o=.d)

# Nothing of ours can be inlined by JIT; without this every file is compiled
# by clang a second time.
override with_llvm := no

include $(PGXS)

# PGXS tracks no headers; the compiler's own lists do.
-include $(OBJS:.o=.d)

# The install script is made of one part for each topic, in the order of their
# names.
SQL_PARTS = $(sort $(wildcard sql/$(EXTENSION)/*.sql))

$(DATA_built): $(SQL_PARTS) $(EXTENSION).control
	awk 'FNR == 1 && NR > 1 { print "" } { print }' $(SQL_PARTS) >$@
