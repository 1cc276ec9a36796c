# SPDX-License-Identifier: ISC
#
# GNU make, no configure step.
#
#   make deps; make          ./tunnel
#   make help                every target
#
# Variables (give them on the command line):
#   CC=clang                 another compiler
#   CFLAGS= LDFLAGS=         yours, added after ours (CFLAGS defaults to -O2 -g)
#   SAN=address,undefined    build with sanitizers; SAN=thread likewise
#   STATIC=1                 one fully static binary
#   MBEDTLS=system           an installed mbedTLS 3.6 in place of the one that `make deps` builds
#   WERROR=0|1               whether a warning is an error (default: in a git work tree, and always in checks)
#   FUZZ_TIME=30             seconds for each fuzz harness of `make fuzz`
#   BENCH_DIR=../shared/bench  the benchmark that `make bench` runs
#   MUTANTS=                 options of test/tools/mutants.py for `make mutants`
#   JOBS=4                   tests that run at once (default: two for each CPU)
#   V=1                      show the commands
#
# Every combination of CC, SAN, STATIC and MBEDTLS has its own folder under build/, so they do not disturb each other.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
LDFLAGS ?=
SAN ?=
STATIC ?=
MBEDTLS ?= own
WERROR ?= $(if $(wildcard .git),1,0)
FUZZ_TIME ?= 30
BENCH_DIR ?= ../shared/bench
BENCH_ARGS ?= --subjects ours-l,ours-l-tls,hop3
JOBS ?= $(shell echo $$((2 * $$(nproc))))
PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
PKG_CONFIG ?= pkg-config

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) '$(2)';)
comma := ,
hash := \#
empty :=
space := $(empty) $(empty)

# ---- deps ----

.PHONY: deps deps-update
deps: ## install the packages, build mbedTLS, llhttp and wslay's static library into build/deps
	@MBEDTLS=$(MBEDTLS) STATIC=$(STATIC) sh .ci/deps

deps-update: ## deps, with the newest mbedTLS 3.6 that the archive has: for its security updates
	@MBEDTLS=$(MBEDTLS) STATIC=$(STATIC) DEPS_UPDATE=1 sh .ci/deps

# What follows looks at build/deps when make starts.  In "make deps all" that is too early, so the other goals are left to a
# second make that starts when deps is through.
deps_goals := $(filter deps deps-update,$(MAKECMDGOALS))
beside_deps := $(if $(deps_goals),$(filter-out $(deps_goals),$(MAKECMDGOALS)))
ifneq ($(beside_deps),)
.PHONY: after-deps $(beside_deps)
$(beside_deps): after-deps
	@:
after-deps: $(deps_goals)
	$(Q)$(MAKE) --no-print-directory $(beside_deps)
else

# ---- variants ----

variant := $(subst $(space),-,$(strip \
	$(if $(findstring clang,$(CC)),clang) $(subst $(comma),-,$(SAN)) $(if $(filter 1,$(STATIC)),static) \
	$(if $(filter system,$(MBEDTLS)),system) $(if $(FUZZER),fuzz)))
variant := $(or $(variant),default)
O := build/$(variant)
D := build/deps
# What other programs look for has a fixed place: ./tunnel and build/test/ in the plain builds, inside $(O) in the rest.
TOP_BINARY := $(if $(SAN)$(FUZZER)$(findstring clang,$(CC)),,tunnel)
TOOLS := $(if $(filter default,$(variant)),build/test,$(O)/tools)

# ---- flags ----

warnings := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wconversion -Wmissing-prototypes -Wvla -Wformat=2 \
	$(if $(filter 1,$(WERROR)),-Werror)
sanitize := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer $(if $(findstring undefined,$(SAN)),-fno-sanitize-recover=undefined)) \
	$(if $(FUZZER),-fsanitize=fuzzer-no-link)
harden := -fPIE -fstack-protector-strong -fno-strict-aliasing \
	$(if $(SAN)$(FUZZER),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)

deps_pc := libevent libevent_pthreads libwslay jansson libcares
deps_cflags := $(shell $(PKG_CONFIG) --cflags $(deps_pc) 2>/dev/null)
ifeq ($(STATIC),1)
deps_libs := -L$(D)/lib -lwslay -ljansson -levent -levent_pthreads -lcares
else
deps_libs := $(or $(shell $(PKG_CONFIG) --libs $(deps_pc) 2>/dev/null),-levent -levent_pthreads -lwslay -ljansson -lcares)
endif
ifeq ($(MBEDTLS),system)
mbedtls_cflags := $(shell $(PKG_CONFIG) --cflags mbedtls 2>/dev/null)
mbedtls_libs := -lmbedtls -lmbedx509 -lmbedcrypto
else
mbedtls_cflags := -isystem $(D)/mbedtls/include -DMBEDTLS_CONFIG_FILE='"lib/tls/mbedtls_config.h"'
mbedtls_libs := $(D)/lib/libmbedtls.a $(D)/lib/libmbedx509.a $(D)/lib/libmbedcrypto.a
ipsec_libs := $(if $(wildcard /usr/include/intel-ipsec-mb.h),$(if $(filter x86_64,$(shell uname -m)),-lIPSec_MB))
endif
llhttp_libs := $(or $(wildcard $(D)/lib/libllhttp.a),-lllhttp)

ours_cppflags := -D_GNU_SOURCE -I. -isystem $(D)/include $(mbedtls_cflags) $(deps_cflags)
ours_cflags := -std=gnu11 -pthread $(harden) $(warnings) $(sanitize)
ours_ldflags := -pthread $(sanitize) -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(filter 1,$(STATIC)),-static-pie,-pie)
compile = $(CC) $(ours_cppflags) $(CPPFLAGS) $(ours_cflags) $(CFLAGS)
# mbedTLS calls mbedtls_gcm_*() that libtunnel.a defines and libtunnel.a calls mbedTLS: the group resolves both ways.
libs = -Wl,--start-group $(O)/libtunnel.a $(mbedtls_libs) -Wl,--end-group $(llhttp_libs) $(deps_libs) $(ipsec_libs)
link = $(CC) $(ours_ldflags) $(CFLAGS) $(LDFLAGS)

# ---- sources ----

lib_src := $(wildcard lib/*/*.c proto/*.c proto/*/*.c)
cmd_src := $(wildcard cmd/*.c cmd/*/*.c cmd/*/*/*.c)
main_src := $(wildcard cmd/main.c)
unit_src := $(wildcard test/unit/*/*_test.c)
fuzz_src := $(wildcard test/fuzz/*_fuzz.c)
tool_src := $(wildcard test/tools/*.c)
bench_src := $(wildcard test/bench/*.c)
test_help_src := $(wildcard test/unit/*.c)

lib_obj := $(lib_src:%.c=$(O)/%.o)
cmd_obj := $(cmd_src:%.c=$(O)/%.o)
test_help_obj := $(test_help_src:%.c=$(O)/%.o)
unit_bin := $(unit_src:test/unit/%.c=$(O)/unit/%)
replay_bin := $(if $(wildcard test/fuzz/replay.c),$(fuzz_src:test/fuzz/%_fuzz.c=$(O)/replay/%))
fuzz_bin := $(fuzz_src:test/fuzz/%_fuzz.c=$(O)/fuzz/%)
tool_bin := $(tool_src:test/tools/%.c=$(TOOLS)/%)
bench_bin := $(bench_src:test/bench/%.c=$(O)/bench/%)
all_src := $(lib_src) $(cmd_src) $(unit_src) $(test_help_src) $(fuzz_src) $(tool_src) $(bench_src) $(wildcard test/fuzz/replay.c)

.PHONY: all check units replays lint fuzz bench bench-gcm demo mutants test-tools install clean help compile_commands.json FORCE

all: $(if $(main_src),$(O)/tunnel)
	$(if $(and $(main_src),$(TOP_BINARY)),@ln -f $(O)/tunnel $(TOP_BINARY))

# ---- rules ----

# A change of flags, compiler or libraries rebuilds the variant's folder.
flags_now = $(compile) | $(link) | $(mbedtls_libs) $(llhttp_libs) $(deps_libs) $(ipsec_libs)
$(O)/flags: FORCE
	@mkdir -p $(@D); printf '%s\n' "$(subst ",\",$(flags_now))" | cmp -s - $@ || printf '%s\n' "$(subst ",\",$(flags_now))" >$@

deps_stamp := $(if $(filter system,$(MBEDTLS)),$(D)/llhttp.done,$(D)/mbedtls.done)
$(deps_stamp):
	@echo "The libraries are not built yet: run 'make deps' first." >&2; exit 1

$(O)/%.o: %.c $(O)/flags $(deps_stamp)
	$(call say,CC,$<)mkdir -p $(@D) && $(compile) -MMD -MP -c $< -o $@

# mbedTLS's own GCM under other names: it comes from the unpacked source package, and includes headers beside it.
$(O)/lib/tls/gcm_soft.o: ours_cppflags += -isystem $(D)/src/mbedtls/library

$(O)/libtunnel.a: $(lib_obj)
	$(call say,AR,$@)rm -f $@ && $(or $(AR),ar) rcs $@ $^

# What the tests of cmd/ link with: everything of it but main().
$(O)/libcmd.a: $(filter-out $(O)/cmd/main.o,$(cmd_obj))
	$(call say,AR,$@)mkdir -p $(@D); rm -f $@ && $(or $(AR),ar) rcs $@ $^

$(O)/tunnel: $(cmd_obj) $(O)/libtunnel.a
	$(call say,LD,$@)$(link) -o $@ $(cmd_obj) $(libs)

# A program that replaces functions says so in its head comment: " * link: -Wl,--wrap=malloc".
link_extra = $$(sed -n 's/^ \* link: //p' $(1))

$(O)/unit/%: $(O)/test/unit/%.o $(test_help_obj) $(O)/libcmd.a $(O)/libtunnel.a
	$(call say,LD,$@)mkdir -p $(@D) && $(link) $(call link_extra,test/unit/$*.c) -o $@ $< $(test_help_obj) \
		$(O)/libcmd.a $(libs) -lcmocka

$(O)/replay/%: $(O)/test/fuzz/%_fuzz.o $(O)/test/fuzz/replay.o $(O)/libcmd.a $(O)/libtunnel.a
	$(call say,LD,$@)mkdir -p $(@D) && $(link) -o $@ $(filter %.o,$^) $(O)/libcmd.a $(libs)

$(O)/fuzz/%: $(O)/test/fuzz/%_fuzz.o $(O)/libcmd.a $(O)/libtunnel.a
	$(call say,LD,$@)mkdir -p $(@D) && $(link) -fsanitize=fuzzer -o $@ $< $(O)/libcmd.a $(libs)

$(TOOLS)/%: $(O)/test/tools/%.o $(O)/libcmd.a $(O)/libtunnel.a
	$(call say,LD,$@)mkdir -p $(@D) && $(link) $(call link_extra,test/tools/$*.c) -o $@ $< $(O)/libcmd.a $(libs)

$(O)/bench/%: $(O)/test/bench/%.o $(O)/libtunnel.a
	$(call say,LD,$@)mkdir -p $(@D) && $(link) $(call link_extra,test/bench/$*.c) -o $@ $< $(libs)

.SECONDARY:
-include $(all_src:%.c=$(O)/%.d)

# What a variant needs and this machine may lack is said in one line.
ifeq ($(MBEDTLS),system)
ifneq ($(shell echo '$(hash)include <mbedtls/build_info.h>' | $(CC) $(mbedtls_cflags) -E -dM - 2>/dev/null | \
	grep -c 'MBEDTLS_VERSION_NUMBER *0x0306'),1)
$(lib_obj): no-system-mbedtls
.PHONY: no-system-mbedtls
no-system-mbedtls:
	@echo "MBEDTLS=system needs the headers of mbedTLS 3.6 (libmbedtls-dev): this machine has none or another version." >&2; exit 1
endif
endif
ifeq ($(STATIC),1)
ifeq ($(wildcard $(D)/lib/libwslay.a),)
$(O)/tunnel: no-static-wslay
.PHONY: no-static-wslay
no-static-wslay:
	@echo "STATIC=1 needs $(D)/lib/libwslay.a: run 'make STATIC=1 deps' (it builds wslay's source package)." >&2; exit 1
endif
endif

# ---- targets ----

units: $(unit_bin)

replays: $(replay_bin)

check: deps ## everything: lint, units, fuzz corpora, end to end; again under ASan+UBSan; the relay under TSan
	@MAKE='$(MAKE)' JOBS=$(JOBS) V=$(V) sh test/run

lint: ## layers, library headers, headers alone, banned functions, layout, man pages, scripts
	@CC='$(CC)' HDR_CFLAGS="$(subst ",\",$(ours_cppflags))" sh test/lint/run

# Each harness for FUZZ_TIME seconds, also after one has failed; new inputs stay in build/, a crash is left in
# $(O)/fuzz/NAME-crash-*.
fuzz: ## libFuzzer with clang, FUZZ_TIME seconds for each harness
ifeq ($(FUZZER),1)
fuzz: $(fuzz_bin)
	@failed=; for f in $(fuzz_bin); do n=$$(basename $$f); mkdir -p $(O)/corpus/$$n test/fuzz/corpus/$$n; \
		echo "fuzz $$n, $(FUZZ_TIME) s"; \
		$$f -max_total_time=$(FUZZ_TIME) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
			-artifact_prefix=$(O)/fuzz/$$n-crash- $$(test -e test/fuzz/$$n.dict && echo -dict=test/fuzz/$$n.dict) \
			$(O)/corpus/$$n test/fuzz/corpus/$$n >$(O)/fuzz/$$n.log 2>&1 \
			|| { tail -n 40 $(O)/fuzz/$$n.log; echo "fuzz $$n: FAILED ($(O)/fuzz/$$n.log)"; failed="$$failed $$n"; }; \
		sed -n 's/^stat:://p' $(O)/fuzz/$$n.log; done; [ -z "$$failed" ] || { echo "fuzz: FAILED:$$failed"; exit 1; }
else
fuzz:
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=address,undefined FUZZER=1 fuzz
endif

bench: all ## the data path against plain copy hops (BENCH_DIR, BENCH_ARGS)
	@test -e $(BENCH_DIR)/run.py || { echo "no $(BENCH_DIR)/run.py: set BENCH_DIR" >&2; exit 1; }
	TUNNEL_BIN=./tunnel python3 $(BENCH_DIR)/run.py $(BENCH_ARGS)

bench-gcm: $(O)/bench/gcm_bench ## AES-GCM and TLS 1.3 records: libipsec-mb beside mbedTLS's own
	$(O)/bench/gcm_bench

mutants: units all test-tools ## how many seeded mistakes the tests notice (MUTANTS='--seed 2 --each 10 --e2e')
	python3 test/tools/mutants.py $(MUTANTS)

demo: deps ## real SSH through wss, and a public port: 256 MiB each way, with hashes and speeds
	@$(MAKE) --no-print-directory all
	@TUNNEL_BIN=$(CURDIR)/tunnel $$(sed -n '1s/^#! *//p' test/demo.sh) test/demo.sh

test-tools: $(tool_bin) ## build/test/ws_echo and build/test/agents, for conformance suites and load runs

install: all ## binary, argv[0] links and manual pages to $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(BINDIR)
	install -m 755 $(O)/tunnel $(DESTDIR)$(BINDIR)/tunnel
	for n in relay agent connect keygen; do ln -sf tunnel $(DESTDIR)$(BINDIR)/tunnel-$$n; done
	for p in $(wildcard man/*.[1-8]); do d=$(DESTDIR)$(MANDIR)/man$${p##*.}; install -d $$d && install -m 644 $$p $$d/; done

clean: ## remove what was built; build/deps stays (rm -r build removes that too)
	rm -rf $(filter-out build/deps,$(wildcard build/*)) tunnel compile_commands.json

compile_commands.json: ## for editors and clang tools, from the same variables as the build
	@{ echo '['; sep=; for f in $(all_src); do printf '%s{"directory":"%s","file":"%s","command":"%s"}' "$$sep" '$(CURDIR)' $$f \
		"$(subst ",\\\",$(compile)) -c $$f -o $(O)/$${f%.c}.o"; sep=",$$(printf '\n.')"; sep="$${sep%.}"; done; echo; echo ']'; } >$@

help: ## this list
	@sed -n 's/^\([a-z_.-]*\):.*## /\1\t/p' Makefile | awk -F'\t' '{ printf "  make %-22s %s\n", $$1, $$2 }'
	@sed -n '/^# Variables/,/^$$/p' Makefile | sed 's/^# \{0,1\}//'

endif # beside_deps
