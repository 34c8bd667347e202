# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-erlang   the modules for Erlang, by EUnit, and their documentation, by EDoc
#   make test-rebar3   an application of rebar3's that depends on this one

ERLANG_TESTS := $(basename $(notdir $(wildcard test/erl/*_tests.erl)))
ERLANG_TEST_BUILD := build/test-erlang
comma_list = $(subst $(space),$(comma),$(strip $(1)))
space := $(subst ,, )

.PHONY: test-erlang
test-erlang: export MIX_ENV := test
test-erlang:
	$(MIX) compile --warnings-as-errors
	@mkdir -p $(ERLANG_TEST_BUILD)/doc
	erlc -Werror +debug_info -o $(ERLANG_TEST_BUILD) test/erl/*_tests.erl
	erl -noshell -pa "$$($(MIX) run --no-start -e 'IO.puts Mix.Project.compile_path()')" $(ERLANG_TEST_BUILD) \
	    -pa "$$(elixir -e 'IO.puts :code.lib_dir(:elixir)')/ebin" \
	    -pa "$$(elixir -e 'IO.puts :code.lib_dir(:logger)')/ebin" \
	    -eval 'halt(case eunit:test([$(call comma_list,$(ERLANG_TESTS))], [{scale_timeouts, 60}]) of ok -> 0; _ -> 1 end).'
	erl -noshell -eval 'edoc:files(filelib:wildcard("src/*.erl"), [{dir, "$(ERLANG_TEST_BUILD)/doc"}]), halt().'

REBAR3_TEST := build/test-rebar3

# An application of its own, with this project's files as they would be fetched, in a release's place.
.PHONY: test-rebar3
test-rebar3:
	rm -rf $(REBAR3_TEST)
	mkdir -p $(REBAR3_TEST)/_checkouts/muontrap
	cp -R test/erl/app/. $(REBAR3_TEST)/
	cp -R c_src lib priv src LICENSES Makefile mix.exs rebar.config $(REBAR3_TEST)/_checkouts/muontrap/
	cd $(REBAR3_TEST) && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
	    ERL_LIBS="$$(elixir -e 'IO.puts Path.dirname(:code.lib_dir(:elixir))')" \
	    sh -ec 'rebar3 compile && erl -noshell -pa $$(rebar3 path) -s my_app run'
