/* SPDX-License-Identifier: ISC */
/*
 * jobj_test - strict reading, typed members, compact writing, nothing left in freed memory.
 * link: -Wl,--wrap=free
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/conf/jobj.h"
#include "lib/base/mem.h"

#define MAX 65536

void __real_free(void *p);
void __wrap_free(void *p);

static bool watching;
static int n_freed, n_left;

void
__wrap_free(void *p)
{
	if (watching && p != NULL) {
		n_freed++;
		n_left += memmem(p, malloc_usable_size(p), "hunter2", 7) != NULL;
	}
	__real_free(p);
}

static struct jobj *
parsed(const char *s)
{
	struct jobj *o = NULL;
	struct errtext e;

	if (jobj_parse(s, strlen(s), MAX, &o, &e) != 0)
		fail_msg("%s: %s", s, e.s);
	return o;
}

static void
good_texts_come_back_compact(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "{}", "{}" },
		{ "[]", "[]" },
		{ " { \"b\" : 1 , \"a\" : [ true , false , null , -2 , \"x\" ] } \n",
		    "{\"b\":1,\"a\":[true,false,null,-2,\"x\"]}" },
		{ "{\"k\":\"\\u00e4\\n\\\"\\\\\"}", "{\"k\":\"\xc3\xa4\\n\\\"\\\\\"}" },
		{ "[9223372036854775807,-9223372036854775808]",
		    "[9223372036854775807,-9223372036854775808]" },
	};
	struct jobj *o;
	size_t i, len;
	char *s;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		o = parsed(t[i].in);
		s = jobj_dump(o, &len);
		assert_string_equal(s, t[i].out);
		assert_int_equal(len, strlen(s));
		mem_free(s);
		jobj_free(o);
	}
	jobj_free(NULL);
}

static void
bad_texts_are_refused_and_not_quoted(void **state)
{
	static const char *const bad[] = { "", " ", "{", "}", "{}x", "{} {}", "[1,]",
		"{\"hunter2\":1,}", "{hunter2:1}", "\"hunter2\"", "12", "true", "null",
		"{\"a\":1,\"a\":2}", "{\"a\":{\"hunter2\":1,\"hunter2\":2}}",
		"{\"a\":\"hunter2\\u0000\"}", "{\"a\\u0000b\":1}", "{\"a\":\"\xff\"}",
		"{\"a\":\"\xed\xa0\x80\"}", "{'hunter2':1}", "{\"a\":01}", "{\"a\":+1}",
		"{\"a\":9223372036854775808}", "{\"a\":1e999}", "{\"a\":NaN}",
		"{\"a\":\"hunter2\n\"}", "/* hunter2 */{}", "\xef\xbb\xbf{}", "{\"a\" \"hunter2\"}",
		"[hunter2]", "[\"\\uhunter2\"]", "[\"\\ud800\\uhunter2\"]", "", "hunter2",
		"[hunter2" };
	struct jobj *o = NULL;
	struct errtext e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(jobj_parse(bad[i], strlen(bad[i]), MAX, &o, &e), ERR_INVALID);
		assert_null(o);
		assert_non_null(strstr(e.s, "not valid JSON at line"));
		assert_null(strstr(e.s, "hunter"));
		/* and it says what is wrong there */
		assert_true(e.s[strlen(e.s) - 1] != ' ');
	}
	assert_int_equal(jobj_parse("{\0}", 3, MAX, &o, &e), ERR_INVALID);
}

static void
truncation_at_every_length_is_refused(void **state)
{
	static const char s[] = "{\"a\":[1,2,{\"b\":\"x\\u00e4\"}],\"c\":true}";
	struct jobj *o;
	size_t n;

	(void)state;
	for (n = 0; n < strlen(s); n++)
		assert_int_equal(jobj_parse(s, n, MAX, &o, NULL), ERR_INVALID);
}

static void
size_and_depth_are_bounded(void **state)
{
	char deep[2 * (JOBJ_DEPTH_MAX + 1)];
	struct jobj *o;

	(void)state;
	assert_int_equal(jobj_parse("[1,2]", 5, 4, &o, NULL), ERR_LIMIT);
	assert_int_equal(jobj_parse("[1,2]", 5, 5, &o, NULL), 0);
	jobj_free(o);
	memset(deep, '[', JOBJ_DEPTH_MAX + 1);
	memset(deep + JOBJ_DEPTH_MAX + 1, ']', JOBJ_DEPTH_MAX + 1);
	assert_int_equal(jobj_parse(deep, sizeof(deep), MAX, &o, NULL), ERR_LIMIT);
	assert_int_equal(jobj_parse(deep + 1, sizeof(deep) - 2, MAX, &o, NULL), 0);
	jobj_free(o);
	/* brackets in strings are text */
	o = parsed("[\"[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[[\"]");
	jobj_free(o);
}

static void
members_have_types(void **state)
{
	struct jobj *o =
	    parsed("{\"s\":\"x\",\"i\":5,\"r\":1.0,\"b\":true,\"o\":{},\"a\":[1],\"n\":null,"
		   "\"no\":false}");
	const char *s = "default";
	bool b = false;
	const struct jobj *v = NULL;
	int64_t i = 42;
	struct errtext e;

	(void)state;
	assert_int_equal(jobj_str(o, "s", &s, &e), 0);
	assert_string_equal(s, "x");
	assert_int_equal(jobj_int(o, "i", 0, 10, &i, &e), 0);
	assert_int_equal(i, 5);
	assert_int_equal(jobj_obj(o, "o", &v, &e), 0);
	assert_int_equal(jobj_kind(v), JOBJ_OBJ);
	assert_int_equal(jobj_arr(o, "a", &v, &e), 0);
	assert_int_equal(jobj_count(v), 1);
	assert_int_equal(jobj_kind(jobj_get(o, "r")), JOBJ_REAL);
	assert_int_equal(jobj_kind(jobj_get(o, "b")), JOBJ_BOOL);
	assert_true(jobj_as_bool(jobj_get(o, "b"), &b) && b);
	assert_true(jobj_as_bool(jobj_get(o, "no"), &b) && !b);
	assert_false(jobj_as_bool(jobj_get(o, "i"), &b));
	assert_false(jobj_as_int(jobj_get(o, "b"), &i));
	assert_int_equal(jobj_kind(jobj_get(o, "n")), JOBJ_NULL);

	assert_int_equal(jobj_str(o, "zz", &s, &e), ERR_NOTFOUND);
	assert_string_equal(e.s, "\"zz\" is missing");
	assert_int_equal(jobj_str(o, "n", &s, &e), ERR_NOTFOUND);
	assert_int_equal(jobj_str(o, "i", &s, &e), ERR_INVALID);
	assert_string_equal(e.s, "\"i\" must be a string");
	assert_int_equal(jobj_int(o, "s", 0, 10, &i, &e), ERR_INVALID);
	assert_string_equal(e.s, "\"s\" must be an integer");
	assert_int_equal(jobj_int(o, "r", 0, 10, &i, &e), ERR_INVALID);
	assert_int_equal(jobj_int(o, "i", 6, 10, &i, &e), ERR_INVALID);
	assert_string_equal(e.s, "\"i\" must be within 6 and 10");
	assert_int_equal(jobj_obj(o, "a", &v, &e), ERR_INVALID);
	assert_int_equal(jobj_arr(o, "o", &v, NULL), ERR_INVALID);
	assert_string_equal(s, "x"); /* untouched by failures */
	assert_int_equal(i, 5);
	jobj_free(o);
}

static void
values_that_are_not_there_are_harmless(void **state)
{
	struct jobj *a = parsed("[1]");
	struct jobj_iter it = { 0 };
	const struct jobj *v;
	const char *name;
	int64_t i;
	bool b;

	(void)state;
	assert_int_equal(jobj_kind(NULL), JOBJ_NULL);
	assert_null(jobj_get(NULL, "x"));
	assert_null(jobj_get(a, "x"));
	assert_null(jobj_at(a, 1));
	assert_null(jobj_at(NULL, 0));
	assert_int_equal(jobj_count(NULL), 0);
	assert_null(jobj_as_str(NULL));
	assert_false(jobj_as_int(NULL, &i));
	assert_false(jobj_as_bool(jobj_at(a, 0), &b));
	assert_false(jobj_each(a, &it, &name, &v));
	jobj_free(a);
}

static void
members_are_walked_in_their_order(void **state)
{
	struct jobj *o = parsed("{\"z\":1,\"a\":2,\"m\":3}");
	struct jobj_iter it = { 0 };
	const struct jobj *v;
	const char *name;
	char seen[8] = "";
	int64_t i, sum = 0;

	(void)state;
	while (jobj_each(o, &it, &name, &v)) {
		strncat(seen, name, 1);
		assert_true(jobj_as_int(v, &i));
		sum += i;
	}
	assert_string_equal(seen, "zam");
	assert_int_equal(sum, 6);
	assert_int_equal(jobj_count(o), 3);
	jobj_free(o);
}

static void
unknown_members_are_named_with_the_nearest(void **state)
{
	static const char *const allowed[] = { "listen", "relay", NULL };
	struct jobj *o = parsed("{\"relay\":1,\"lisen\":2}");
	struct errtext e;

	(void)state;
	assert_int_equal(jobj_only(o, allowed, &e), ERR_INVALID);
	assert_string_equal(e.s, "unknown key \"lisen\"; did you mean \"listen\"?");
	jobj_free(o);
	o = parsed("{\"\\u001b[2J\":2}");
	assert_int_equal(jobj_only(o, allowed, &e), ERR_INVALID);
	assert_string_equal(e.s, "unknown key \"\\x1b[2J\"");
	jobj_free(o);
	o = parsed("{\"listen\":1}");
	assert_int_equal(jobj_only(o, allowed, &e), 0);
	jobj_free(o);
}

static void
objects_are_built(void **state)
{
	struct jobj *o = jobj_new_obj(), *a = jobj_new_arr();
	char *s;

	(void)state;
	assert_int_equal(jobj_set_str(o, "s", "\x1b \xc3\xa4"), 0);
	assert_int_equal(jobj_set_int(o, "i", -5), 0);
	assert_int_equal(jobj_set_int(o, "i", INT64_MAX), 0);
	assert_int_equal(jobj_set_bool(o, "b", true), 0);
	assert_int_equal(jobj_set_null(o, "z"), 0);
	assert_int_equal(jobj_add_take(a, jobj_new_obj()), 0);
	assert_int_equal(jobj_set_take(o, "a", a), 0);
	s = jobj_dump(o, NULL);
	assert_string_equal(s,
	    "{\"s\":\"\\u001B \xc3\xa4\",\"i\":9223372036854775807,\"b\":true,\"z\":null,"
	    "\"a\":[{}]}");
	mem_free(s);
	assert_int_equal(jobj_set_str(o, "bad", "\xff"), ERR_INVALID);
	assert_int_equal(jobj_set_take(o, "none", NULL), ERR_NOMEM);
	assert_int_equal(jobj_set_take(NULL, "x", jobj_new_obj()), ERR_NOMEM);
	assert_int_equal(jobj_add_take(NULL, jobj_new_obj()), ERR_NOMEM);
	mem_fail_after(0);
	assert_null(jobj_dump(o, NULL));
	mem_fail_after(MEM_NO_FAIL);
	jobj_free(o);
}

static void
want_of_memory_is_told_and_cuts_nothing(void **state)
{
	static const char text[] = "{\"name\":\"a text that is longer than the room jansson begins "
				   "with\",\"list\":[1,true,{\"x\":\"y\"}],\"n\":-5}";
	struct jobj *o = NULL;
	struct errtext e;
	char *s = NULL;
	long i;

	(void)state;
	for (i = 0; o == NULL; i++) {
		mem_fail_after(i);
		int r = jobj_parse(text, strlen(text), sizeof text, &o, &e);
		mem_fail_after(MEM_NO_FAIL);
		assert_int_equal(r, o != NULL ? 0 : ERR_NOMEM);
		assert_true(i < 1000);
	}
	assert_true(i > 10);
	for (i = 0; s == NULL; i++) {
		mem_fail_after(i);
		s = jobj_dump(o, NULL);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(i < 1000);
	}
	assert_string_equal(s, text);
	mem_free(s);
	jobj_free(o);
	/* What is no JSON is not said to be want of memory, whatever went before. */
	mem_fail_after(0);
	assert_null(jobj_new_obj());
	mem_fail_after(MEM_NO_FAIL);
	assert_int_equal(jobj_parse("{", 1, 1, &o, &e), ERR_INVALID);
}

static void
strings_are_added_to_an_array(void **state)
{
	struct jobj *a = jobj_new_arr(), *copy;

	(void)state;
	assert_int_equal(jobj_add_str(a, ""), 0);
	assert_int_equal(jobj_add_str(a, "\xc3\xa4\""), 0);
	assert_int_equal(jobj_add_str(a, "\xff"), ERR_INVALID);
	assert_int_equal(jobj_add_str(NULL, "x"), ERR_NOMEM);
	for (long i = 0, r = ERR_NOMEM; r != 0; i++) {
		mem_fail_after(i);
		r = jobj_add_str(a, "last");
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == 0 || r == ERR_NOMEM);
		assert_true(i < 100);
	}
	char *s = jobj_dump(a, NULL);
	assert_string_equal(s, "[\"\",\"\xc3\xa4\\\"\",\"last\"]");
	mem_free(s);
	copy = jobj_copy(a);
	jobj_free(a);
	assert_string_equal(jobj_as_str(jobj_at(copy, 2)), "last");
	jobj_free(copy);
}

static void
secrets_are_wiped_before_they_are_freed(void **state)
{
	struct jobj *o;

	(void)state;
	watching = true;
	o = parsed("{\"hunter2-a-name-that-is-long\": [\"a-secret-that-is-hunter2\"]}");
	jobj_free(o);
	watching = false;
	assert_true(n_freed >= 4);
	assert_int_equal(n_left, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_texts_come_back_compact),
		cmocka_unit_test(bad_texts_are_refused_and_not_quoted),
		cmocka_unit_test(truncation_at_every_length_is_refused),
		cmocka_unit_test(size_and_depth_are_bounded),
		cmocka_unit_test(members_have_types),
		cmocka_unit_test(values_that_are_not_there_are_harmless),
		cmocka_unit_test(members_are_walked_in_their_order),
		cmocka_unit_test(unknown_members_are_named_with_the_nearest),
		cmocka_unit_test(objects_are_built),
		cmocka_unit_test(want_of_memory_is_told_and_cuts_nothing),
		cmocka_unit_test(strings_are_added_to_an_array),
		cmocka_unit_test(secrets_are_wiped_before_they_are_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
