/* SPDX-License-Identifier: ISC */
/* hnr_msg_test - the messages of http-network-relay, as the reference spells them and otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/dialect/hnr_msg.h"

#define UUID "237369e7-ea63-4072-8e48-36594930ba19"

/* What is read and written of one message. */
struct sample {
	enum hnr_way way;
	struct hnr_msg m;
	const char *data;
	const char *text;
};

static const struct sample samples[] = {
	{ HNR_FROM_AGENT, { .kind = HNR_START, .name = "pi", .secret = "agent-secret-1" }, NULL,
	    "{\"inner\":{\"kind\":\"start\",\"last_error\":null,\"name\":\"pi\","
	    "\"secret\":\"agent-secret-1\"}}" },
	{ HNR_FROM_AGENT,
	    { .kind = HNR_START, .last_error = "it \"broke\"", .name = "pi", .secret = "s" }, NULL,
	    "{\"inner\":{\"kind\":\"start\",\"last_error\":\"it \\\"broke\\\"\",\"name\":\"pi\","
	    "\"secret\":\"s\"}}" },
	{ HNR_FROM_AGENT, { .kind = HNR_INITIATE_OK, .id = UUID }, NULL,
	    "{\"inner\":{\"kind\":\"initiate_connection_ok\",\"connection_id\":\"" UUID "\"}}" },
	{ HNR_FROM_AGENT, { .kind = HNR_INITIATE_ERROR, .message = "no", .id = UUID }, NULL,
	    "{\"inner\":{\"kind\":\"initiate_connection_error\",\"message\":\"no\","
	    "\"connection_id\":\"" UUID "\"}}" },
	{ HNR_FROM_AGENT, { .kind = HNR_DATA, .id = UUID }, "foob",
	    "{\"inner\":{\"kind\":\"tcp_data\",\"connection_id\":\"" UUID
	    "\",\"data_base64\":\"Zm9vYg==\"}}" },
	{ HNR_FROM_AGENT,
	    { .kind = HNR_RESET, .message = "Connection reset while writing data", .id = UUID },
	    NULL,
	    "{\"inner\":{\"kind\":\"connection_reset\","
	    "\"message\":\"Connection reset while writing data\",\"connection_id\":\"" UUID
	    "\"}}" },
	{ HNR_FROM_AGENT, { .kind = HNR_KEEP_ALIVE }, NULL,
	    "{\"inner\":{\"kind\":\"keep_alive\"}}" },
	{ HNR_TO_AGENT,
	    { .kind = HNR_INITIATE,
		.host = "127.0.0.1",
		.port = 18080,
		.protocol = "tcp",
		.id = UUID },
	    NULL,
	    "{\"inner\":{\"kind\":\"initiate_connection\",\"target_ip\":\"127.0.0.1\","
	    "\"target_port\":18080,\"protocol\":\"tcp\",\"connection_id\":\"" UUID "\"}}" },
	{ HNR_TO_AGENT, { .kind = HNR_DATA, .id = "x" }, "",
	    "{\"inner\":{\"kind\":\"tcp_data\",\"connection_id\":\"x\",\"data_base64\":\"\"}}" },
	{ HNR_TO_AGENT, { .kind = HNR_CLOSE, .message = "Connection closed by relay", .id = UUID },
	    NULL,
	    "{\"inner\":{\"kind\":\"connection_close\","
	    "\"message\":\"Connection closed by relay\",\"connection_id\":\"" UUID "\"}}" },
	{ HNR_TO_AGENT, { .kind = HNR_KEEP_ALIVE }, NULL, "{\"inner\":{\"kind\":\"keep_alive\"}}" },
	{ HNR_FROM_CLIENT,
	    { .kind = HNR_START,
		.agent = "pi",
		.host = "localhost",
		.port = 22,
		.protocol = "tcp",
		.secret = "client-secret-1" },
	    NULL,
	    "{\"inner\":{\"kind\":\"start\",\"connection_target\":\"pi\","
	    "\"target_ip\":\"localhost\",\"target_port\":22,\"protocol\":\"tcp\","
	    "\"secret\":\"client-secret-1\"}}" },
	{ HNR_FROM_CLIENT, { .kind = HNR_DATA }, "foo",
	    "{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"Zm9v\"}}" },
	{ HNR_TO_CLIENT, { .kind = HNR_START_OK }, NULL, "{\"inner\":{\"kind\":\"start_ok\"}}" },
	{ HNR_TO_CLIENT, { .kind = HNR_ERROR, .message = "Agent not registered" }, NULL,
	    "{\"inner\":{\"kind\":\"error\",\"message\":\"Agent not registered\"}}" },
	{ HNR_TO_CLIENT, { .kind = HNR_DATA }, "fo",
	    "{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"Zm8=\"}}" },
};

enum { N_SAMPLES = sizeof samples / sizeof samples[0] };

static void
assert_text(const char *got, const char *want)
{
	if (want == NULL)
		assert_null(got);
	else
		assert_string_equal(got, want);
}

static void
assert_bytes(const struct bufq *q, const void *p, size_t n)
{
	char *got = mem_alloc(n);

	assert_int_equal(q->len, n);
	assert_int_equal(bufq_read(q, 0, got, n), n);
	assert_memory_equal(got, p, n);
	mem_free(got);
}

static void
assert_same(const struct hnr_msg *got, const struct hnr_msg *want)
{
	assert_int_equal(got->kind, want->kind);
	assert_string_equal(got->id, want->id);
	assert_text(got->name, want->name);
	assert_text(got->last_error, want->last_error);
	assert_text(got->agent, want->agent);
	assert_text(got->secret, want->secret);
	assert_text(got->host, want->host);
	assert_text(got->protocol, want->protocol);
	assert_int_equal(got->port, want->port);
	assert_text(got->message, want->message);
}

static void
assert_sample(const struct hnr_msg *got, const struct sample *s)
{
	assert_same(got, &s->m);
	assert_bytes(
	    &got->data, s->data != NULL ? s->data : "", s->data != NULL ? strlen(s->data) : 0);
}

/* In pieces of at most piece bytes. */
static int
read_pieces(
    struct hnr_msg *m, enum hnr_way way, const char *s, size_t n, size_t piece, struct errtext *why)
{
	struct bufq in = { 0 };
	int r;

	for (size_t off = 0; off < n; off += piece) {
		size_t k = n - off < piece ? n - off : piece;
		struct block *b = block_new(k);

		memcpy(b->data, s + off, k);
		b->fill = (uint32_t)k;
		assert_int_equal(bufq_append(&in, b, b->data, k), 0);
		block_unref(b);
	}
	r = hnr_msg_read(m, way, &in, why);
	assert_int_equal(in.len, n);
	bufq_fini(&in);
	return r;
}

static int
read_text(struct hnr_msg *m, enum hnr_way way, const char *s, struct errtext *why)
{
	errtext_clear(why);
	return read_pieces(m, way, s, strlen(s), 1000, why);
}

static void
each_message_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++)
		for (size_t piece = 1; piece < 200; piece += 13) {
			const struct sample *s = &samples[i];
			struct hnr_msg m;
			struct errtext why;

			assert_int_equal(
			    read_pieces(&m, s->way, s->text, strlen(s->text), piece, &why), 0);
			assert_sample(&m, s);
			hnr_msg_fini(&m);
		}
}

static void
each_message_is_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++) {
		const struct sample *s = &samples[i];
		struct bufq out = { 0 }, data = { 0 };
		bool ids = s->way == HNR_FROM_AGENT || s->way == HNR_TO_AGENT;

		assert_int_equal(bufq_copy(&out, "<", 1), 0);
		if (s->data != NULL) {
			assert_int_equal(bufq_copy(&data, s->data, strlen(s->data)), 0);
			assert_int_equal(bufq_copy(&data, "rest", 4), 0);
			assert_int_equal(
			    hnr_data_write(&out, ids ? s->m.id : NULL, &data, strlen(s->data)), 0);
			assert_bytes(&data, "rest", 4);
		} else {
			assert_int_equal(hnr_msg_write(&out, s->way, &s->m), 0);
		}
		bufq_drain(&out, 1);
		assert_bytes(&out, s->text, strlen(s->text));
		bufq_fini(&out);
		bufq_fini(&data);
	}
}

/* A space before the first brace is enough for the strict parser. */
static void
any_spelling_says_the_same(void **state)
{
	char text[512];

	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++) {
		const struct sample *s = &samples[i];
		struct hnr_msg m;
		struct errtext why;

		snprintf(text, sizeof text, " %s", s->text);
		assert_int_equal(read_text(&m, s->way, text, &why), 0);
		assert_non_null(m.raw);
		assert_sample(&m, s);
		hnr_msg_fini(&m);
	}
}

/*
 * Each message with each of its bytes left out, or replaced: as it stands, and with a space before,
 * which the fast path does not take.  Both say the same.
 */
static void
the_fast_path_says_what_the_strict_one_does(void **state)
{
	static const char others[] = "\"\\{}:, =A/-_\x7f\x80";
	char text[512], spaced[513];

	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++)
		for (size_t at = 0; at < strlen(samples[i].text); at++)
			for (size_t c = 0; c < sizeof others; c++) {
				const struct sample *s = &samples[i];
				size_t n = strlen(s->text);
				struct hnr_msg a, b;
				struct errtext why;
				int r;

				memcpy(text, s->text, n);
				text[at] = others[c];
				if (others[c] == '\0')
					memmove(text + at, text + at + 1, n-- - at - 1);
				memcpy(spaced + 1, text, n);
				spaced[0] = ' ';
				r = read_pieces(&a, s->way, text, n, 700, &why);
				assert_int_equal(
				    read_pieces(&b, s->way, spaced, n + 1, 700, &why), r);
				if (r == 0) {
					char data[64];

					assert_same(&a, &b);
					assert_bytes(&a.data, data,
					    bufq_read(&b.data, 0, data, sizeof data));
				}
				hnr_msg_fini(&a);
				hnr_msg_fini(&b);
			}
}

static void
assert_refused(enum hnr_way way, const char *text, const char *says)
{
	struct hnr_msg m;
	struct errtext why;

	assert_int_equal(read_text(&m, way, text, &why), ERR_PROTO);
	if (strstr(why.s, says) == NULL)
		fail_msg("%s: \"%s\" and not \"%s\"", text, why.s, says);
	assert_null(m.raw);
	assert_int_equal(m.data.len, 0);
}

static void
what_is_missing_and_what_is_wrong_is_told(void **state)
{
	(void)state;
	assert_refused(HNR_FROM_AGENT, "", "JSON");
	assert_refused(HNR_FROM_AGENT, "{", "JSON");
	assert_refused(HNR_FROM_AGENT, "[]", "\"inner\" is missing");
	assert_refused(HNR_FROM_AGENT, "{}", "\"inner\" is missing");
	assert_refused(HNR_FROM_AGENT, "{\"inner\":1}", "\"inner\" must be an object");
	assert_refused(HNR_FROM_AGENT, "{\"inner\":{}}", "\"kind\" is missing");
	assert_refused(HNR_FROM_AGENT, "{\"inner\":{\"kind\":7}}", "\"kind\" must be a string");
	assert_refused(
	    HNR_FROM_AGENT, "{\"inner\":{\"kind\":\"start_ok\"}}", "unknown \"kind\": start_ok");
	assert_refused(
	    HNR_FROM_AGENT, "{\"inner\":{\"kind\":\"a\\nb\"}}", "unknown \"kind\": a\\x0ab");
	assert_refused(HNR_FROM_AGENT, "{\"inner\":{\"kind\":\"start\",\"name\":\"n\"}}",
	    "\"secret\" is missing");
	assert_refused(HNR_FROM_AGENT,
	    "{\"inner\":{\"kind\":\"start\",\"name\":\"n\",\"secret\":[]}}",
	    "\"secret\" must be a string");
	assert_refused(HNR_FROM_AGENT,
	    "{\"inner\":{\"kind\":\"start\",\"last_error\":1,\"name\":\"n\",\"secret\":\"s\"}}",
	    "\"last_error\" must be a string");
	assert_refused(HNR_FROM_CLIENT,
	    "{\"inner\":{\"kind\":\"start\",\"connection_target\":\"n\",\"target_ip\":\"h\","
	    "\"target_port\":\"22\",\"protocol\":\"tcp\",\"secret\":\"s\"}}",
	    "\"target_port\" must be an integer");
	assert_refused(
	    HNR_FROM_CLIENT, "{\"inner\":{\"kind\":\"tcp_data\"}}", "\"data_base64\" is missing");
	assert_refused(HNR_FROM_CLIENT,
	    "{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"Zg\"}}",
	    "\"data_base64\" is no base64");
	assert_refused(HNR_TO_AGENT, "{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"Zg==\"}}",
	    "\"connection_id\" is missing");
	assert_refused(
	    HNR_TO_AGENT, "{\"inner\":{\"kind\":\"keep_alive\",\"kind\":\"keep_alive\"}}", "JSON");
}

static void
a_secret_is_in_no_text(void **state)
{
	struct hnr_msg m;
	struct errtext why;

	(void)state;
	assert_int_equal(read_text(&m, HNR_FROM_AGENT,
			     "{\"inner\":{\"secret\":\"hush\",\"kind\":\"start\"}}", &why),
	    ERR_PROTO);
	assert_null(strstr(why.s, "hush"));
	assert_int_equal(
	    read_text(&m, HNR_FROM_AGENT, "{\"inner\":{\"secret\":\"hush\\q\"}}", &why), ERR_PROTO);
	assert_null(strstr(why.s, "hush"));
}

static void
unknown_members_and_other_orders_are_fine(void **state)
{
	struct hnr_msg m;
	struct errtext why;

	(void)state;
	assert_int_equal(read_text(&m, HNR_FROM_CLIENT,
			     "{\"outer\":[1,{}],\"inner\":{\"data_base64\":\"Zm9v\",\"x\":null,"
			     "\"connection_id\":5,\"kind\":\"tcp_data\"}}",
			     &why),
	    0);
	assert_bytes(&m.data, "foo", 3);
	hnr_msg_fini(&m);
	assert_int_equal(read_text(&m, HNR_TO_CLIENT,
			     "{\"inner\":{\"kind\":\"start_ok\",\"connection_id\":\"c\"}}", &why),
	    0);
	assert_int_equal(m.kind, HNR_START_OK);
	hnr_msg_fini(&m);
	/* Escapes mean what they mean. */
	assert_int_equal(
	    read_text(&m, HNR_FROM_CLIENT,
		"{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"\\u002f+\\/+\"}}", &why),
	    0);
	assert_bytes(&m.data, "\xff\xef\xfe", 3);
	hnr_msg_fini(&m);
}

/* The agent takes any text for an id; the strict parser reads it, up to a bound. */
static void
ids_are_opaque(void **state)
{
	char id[HNR_ID_MAX + 2], text[HNR_ID_MAX + 200];
	struct hnr_msg m;
	struct errtext why;

	(void)state;
	assert_int_equal(
	    read_text(&m, HNR_TO_AGENT,
		"{\"inner\":{\"kind\":\"tcp_data\",\"connection_id\":\"\xc3\xa4 {\\\"}\","
		"\"data_base64\":\"Zm9v\"}}",
		&why),
	    0);
	assert_string_equal(m.id, "\xc3\xa4 {\"}");
	hnr_msg_fini(&m);
	assert_false(hnr_id_is_plain(""));
	assert_false(hnr_id_is_plain("a_b"));
	assert_true(hnr_id_is_plain(UUID));
	for (size_t n = HNR_ID_MAX; n <= HNR_ID_MAX + 1; n++) {
		memset(id, 'i', n);
		id[n] = '\0';
		assert_int_equal(hnr_id_is_plain(id), n <= HNR_ID_MAX);
		snprintf(text, sizeof text,
		    "{\"inner\":{\"kind\":\"tcp_data\",\"connection_id\":\"%s\","
		    "\"data_base64\":\"Zm9v\"}}",
		    id);
		assert_int_equal(
		    read_text(&m, HNR_TO_AGENT, text, &why), n <= HNR_ID_MAX ? 0 : ERR_PROTO);
		if (n <= HNR_ID_MAX)
			assert_string_equal(m.id, id);
		hnr_msg_fini(&m);
	}
}

static void
too_large_a_message_is_refused(void **state)
{
	static const char head[] = "{ \"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"",
			  tail[] = "\"}}";
	size_t fit = (HNR_MESSAGE_MAX - sizeof head - sizeof tail) / 4 * 4, n;
	char *text = mem_alloc(HNR_MESSAGE_MAX + 64);
	struct hnr_msg m;
	struct errtext why;

	(void)state;
	for (size_t len = fit; len <= fit + 8; len += 8) {
		memcpy(text, head, sizeof head - 1);
		memset(text + sizeof head - 1, 'A', len);
		memcpy(text + sizeof head - 1 + len, tail, sizeof tail);
		n = sizeof head - 1 + len + sizeof tail - 1;
		assert_int_equal(read_pieces(&m, HNR_FROM_CLIENT, text, n, 60000, &why),
		    n <= HNR_MESSAGE_MAX ? 0 : ERR_PROTO);
		hnr_msg_fini(&m);
	}
	mem_free(text);
}

/* So that one message is one block, whatever its id. */
static void
the_largest_data_fits_a_block(void **state)
{
	struct bufq out = { 0 }, data = { 0 };
	char id[HNR_ID_MAX + 1];
	uint8_t *zeros = mem_zalloc(HNR_DATA_MAX);
	size_t n;

	(void)state;
	memset(id, 'i', HNR_ID_MAX);
	id[HNR_ID_MAX] = '\0';
	assert_int_equal(bufq_copy(&data, zeros, HNR_DATA_MAX), 0);
	assert_int_equal(hnr_data_write(&out, id, &data, HNR_DATA_MAX), 0);
	assert_int_equal(data.len, 0);
	assert_non_null(bufq_front(&out, &n));
	assert_int_equal(n, out.len);
	assert_true(out.len <= BUF_LARGE);
	bufq_fini(&out);
	mem_free(zeros);
}

static void
want_of_memory_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++) {
		const struct sample *s = &samples[i];
		bool failed = true;

		for (long n = 0; failed; n++) {
			struct bufq in = { 0 }, out = { 0 };
			struct hnr_msg m;
			struct errtext why;
			int r, w = 0;

			buf_pool_free();
			assert_int_equal(bufq_copy(&in, s->text, strlen(s->text)), 0);
			mem_fail_after(n);
			r = hnr_msg_read(&m, s->way, &in, &why);
			mem_fail_after(n);
			if (s->data == NULL)
				w = hnr_msg_write(&out, s->way, &s->m);
			mem_fail_after(MEM_NO_FAIL);
			failed = r == ERR_NOMEM || w == ERR_NOMEM;
			assert_true(r == 0 || r == ERR_NOMEM);
			assert_true(w == 0 || w == ERR_NOMEM);
			assert_true(w == 0 || out.len == 0);
			hnr_msg_fini(&m);
			bufq_fini(&in);
			bufq_fini(&out);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_is_read),
		cmocka_unit_test(each_message_is_written),
		cmocka_unit_test(any_spelling_says_the_same),
		cmocka_unit_test(the_fast_path_says_what_the_strict_one_does),
		cmocka_unit_test(what_is_missing_and_what_is_wrong_is_told),
		cmocka_unit_test(a_secret_is_in_no_text),
		cmocka_unit_test(unknown_members_and_other_orders_are_fine),
		cmocka_unit_test(ids_are_opaque),
		cmocka_unit_test(too_large_a_message_is_refused),
		cmocka_unit_test(the_largest_data_fits_a_block),
		cmocka_unit_test(want_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
