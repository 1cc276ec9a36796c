/* SPDX-License-Identifier: ISC */
/*
 * keygen - make key pairs, shared secrets and self-signed certificates.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "lib/tls/cert.h"
#include "lib/base/file.h"
#include "lib/base/hash.h"
#include "lib/tls/keys.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/base/secret.h"
#include "proto/join.h"

#define PROG "tunnel keygen"
#define SECRET_BYTES 32   /* 256 bits: beyond guessing, so a plain hash of it may be stored */
#define KEY_FILE_MAX 4096 /* bytes of a file that holds one key */
#define DAYS_MAX 36500
#define DAYS "825"
#define CERT "tunnel-cert.pem"
#define KEY "tunnel-key.pem"

struct keygen_opts {
	bool pub, secret, self_signed;
	char *join, *relay_key;
	char *output, *cert, *key;
	uint64_t days;
};

#define OFF(member) offsetof(struct keygen_opts, member)

static const struct opt_row rows[] = {
	{ .name = "cert",
	    .kind = OPT_STRING,
	    .off = OFF(cert),
	    .arg = "FILE",
	    .def = CERT,
	    .help = "with --self-signed: the certificate's file" },
	{ .name = "days",
	    .kind = OPT_U64,
	    .off = OFF(days),
	    .arg = "N",
	    .def = DAYS,
	    .min = 1,
	    .max = DAYS_MAX,
	    .help = "with --self-signed: how long it is valid" },
	{ .name = "join",
	    .kind = OPT_STRING,
	    .off = OFF(join),
	    .arg = "URL",
	    .help = "make a key and print it as one string with the relay's URL and --relay-key, "
		    "for the --join-file of an agent or client" },
	{ .name = "key",
	    .kind = OPT_STRING,
	    .off = OFF(key),
	    .arg = "FILE",
	    .def = KEY,
	    .help = "with --self-signed: the private key's file" },
	{ .name = "output",
	    .letter = 'o',
	    .kind = OPT_STRING,
	    .off = OFF(output),
	    .arg = "FILE",
	    .help = "put the private key, the secret or the string of --join into FILE, readable "
		    "by you alone; a public key into FILE.pub" },
	{ .name = "pub",
	    .kind = OPT_FLAG,
	    .off = OFF(pub),
	    .help = "print the public key of the private one in FILE or on standard input" },
	{ .name = "relay-key",
	    .kind = OPT_STRING,
	    .off = OFF(relay_key),
	    .arg = "tunnel-pub-...",
	    .help = "with --join: the relay's public key" },
	{ .name = "secret",
	    .kind = OPT_FLAG,
	    .off = OFF(secret),
	    .help = "make a random secret, and the form of it that a credentials file stores" },
	{ .name = "self-signed",
	    .kind = OPT_FLAG,
	    .off = OFF(self_signed),
	    .help = "make a certificate and key for these host names and addresses" },
};

static const struct opt_spec spec = {
	.prog = PROG,
	.synopsis = "[-o FILE]\n--join URL --relay-key tunnel-pub-... [-o FILE]\n"
		    "--pub [FILE]\n--secret [-o FILE]\n"
		    "--self-signed [--cert FILE] [--key FILE] [--days N] HOST...",
	.about = "Make a key pair, or what else the flag says. No file is ever overwritten.",
	.rows = rows,
	.n_rows = sizeof(rows) / sizeof(rows[0]),
	.args_max = CERT_HOSTS_MAX,
};

static int
complain(int r, const struct errtext *e)
{
	fprintf(stderr, PROG ": %s\n", e->s);
	return r == ERR_INVALID ? CMD_USAGE : CMD_FAILED;
}

static int
flushed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CMD_OK;
	perror(PROG ": cannot write to standard output");
	return CMD_FAILED;
}

/* A line of text as a new file that only its owner can read. */
static int
save_secret(const char *path, const struct secret *s, struct errtext *e)
{
	size_t n = secret_len(s);
	char *line = mem_alloc(n + 1);
	int r;

	if (line == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	memcpy(line, secret_bytes(s), n);
	line[n] = '\n';
	r = file_create_new(path, line, n + 1, 0600, e);
	mem_wipe(line, n + 1);
	mem_free(line);
	return r;
}

/* ---- a key pair ---- */

/* FILE.pub first, so that a private key never lies there without it. */
static int
save_pair(const char *path, const struct secret *priv, const char *pub, struct errtext *e)
{
	char line[KEYS_PUB_TEXT_LEN + 2];
	struct strbuf pub_path;
	int r, n = snprintf(line, sizeof(line), "%s\n", pub);

	strbuf_init(&pub_path, 65536);
	strbuf_addf(&pub_path, "%s.pub", path);
	if ((r = strbuf_status(&pub_path)) != 0)
		err_set(e, r, "%s: %s", path, err_str(r));
	else if ((r = file_create_new(pub_path.s, line, (size_t)n, 0644, e)) == 0 &&
		 (r = save_secret(path, priv, e)) != 0)
		unlink(pub_path.s);
	strbuf_fini(&pub_path);
	return r;
}

/* what: the private key, or a word with it. */
static int
give_out(const struct keygen_opts *o, const struct secret *what, const char *pub, struct errtext *e)
{
	if (o->output != NULL)
		return save_pair(o->output, what, pub, e);
	puts(secret_bytes(what));
	return 0;
}

/* The public key goes where the string does not, for whoever keeps the relay's credentials. */
static int
make_join(const struct keygen_opts *o)
{
	struct errtext e = { "cannot make a key: out of memory" };
	char pub[KEYS_PUB_TEXT_LEN + 1];
	struct secret *priv = keys_generate(), *word = NULL;
	uint8_t relay[KEYS_POINT_LEN];
	int r = priv != NULL ? keys_public(priv, pub, &e) : ERR_NOMEM;

	if (r == 0 && (r = keys_point(o->relay_key, strlen(o->relay_key), relay, &e)) == 0 &&
	    (r = join_make(o->join, relay, priv, &word, &e)) == 0)
		r = give_out(o, word, pub, &e);
	if (r == 0)
		fprintf(o->output != NULL ? stdout : stderr, "%s\n", pub);
	secret_free(word);
	secret_free(priv);
	return r == 0 ? flushed() : complain(r, &e);
}

static int
make_pair(const struct keygen_opts *o)
{
	struct errtext e = { "cannot make a key: out of memory" };
	char pub[KEYS_PUB_TEXT_LEN + 1];
	struct secret *priv = keys_generate();
	int r = priv != NULL ? keys_public(priv, pub, &e) : ERR_NOMEM;

	if (r == 0 && (r = give_out(o, priv, pub, &e)) == 0)
		puts(pub);
	secret_free(priv);
	return r == 0 ? flushed() : complain(r, &e);
}

static int
print_public(const char *path)
{
	bool from_stdin = path == NULL || strcmp(path, "-") == 0;
	char pub[KEYS_PUB_TEXT_LEN + 1];
	struct secret *priv;
	struct errtext e;
	char *buf = NULL;
	size_t len = 0, n;
	int r;

	if (from_stdin)
		r = file_read_fd(STDIN_FILENO, "standard input", KEY_FILE_MAX, &buf, &len, &e);
	else
		r = file_read_all(path, KEY_FILE_MAX, &buf, &len, &e);
	if (r != 0)
		return complain(r, &e);
	for (n = len; n > 0 && strchr(" \t\r\n", buf[n - 1]) != NULL; n--)
		;
	if ((priv = secret_new(buf, n)) == NULL)
		r = err_set(&e, ERR_NOMEM, "out of memory");
	else
		r = keys_public(priv, pub, &e);
	secret_free(priv);
	mem_wipe(buf, len);
	mem_free(buf);
	if (r != 0)
		return complain(r, &e);
	puts(pub);
	return flushed();
}

/* ---- a secret ---- */

static int
make_secret(const struct keygen_opts *o)
{
	struct errtext e = { "cannot make a secret: out of memory" };
	char hex[HASH_HEX_LEN(HASH_SHA256_LEN) + 1];
	uint8_t digest[HASH_SHA256_LEN];
	struct secret *s = secret_random(SECRET_BYTES);
	int r = s != NULL ? hash_sha256(secret_bytes(s), secret_len(s), digest) : ERR_NOMEM;

	if (r == 0 && o->output != NULL)
		r = save_secret(o->output, s, &e);
	else if (r == 0)
		puts(secret_bytes(s));
	if (r == 0) {
		hash_hex(hex, digest, sizeof(digest));
		printf("sha256:%s\n", hex);
	}
	secret_free(s);
	return r == 0 ? flushed() : complain(r, &e);
}

/* ---- a certificate ---- */

static int
make_cert(const struct keygen_opts *o, const struct opt_list *hosts)
{
	struct errtext e;
	struct cert c;
	int r =
	    cert_self_signed((const char *const *)hosts->v, hosts->n, (unsigned)o->days, &c, &e);

	if (r == 0 && (r = file_create_new(o->cert, c.pem, strlen(c.pem), 0644, &e)) == 0 &&
	    (r = file_create_new(
		 o->key, secret_bytes(c.key_pem), secret_len(c.key_pem), 0600, &e)) != 0)
		unlink(o->cert);
	if (r == 0)
		printf("%s\n", c.pin);
	cert_fini(&c);
	return r == 0 ? flushed() : complain(r, &e);
}

static int
check(const struct keygen_opts *o, const struct opt_list *args, struct errtext *e)
{
	if (o->pub + o->secret + o->self_signed + (o->join != NULL) > 1)
		return err_set(
		    e, ERR_INVALID, "--join, --pub, --secret and --self-signed exclude each other");
	if ((o->join != NULL) != (o->relay_key != NULL))
		return err_set(e, ERR_INVALID,
		    "--join URL and --relay-key go together: the relay's log has its public key");
	if (o->output != NULL && (o->pub || o->self_signed))
		return err_set(e, ERR_INVALID,
		    "-o does not go with --pub (redirect its output) nor with --self-signed (use "
		    "--cert and --key)");
	if (o->self_signed && args->n == 0)
		return err_set(e, ERR_INVALID,
		    "--self-signed: for which host? Name those that clients will write in wss://");
	if (!o->self_signed && (strcmp(o->cert, CERT) != 0 || strcmp(o->key, KEY) != 0 ||
				   o->days != strtoull(DAYS, NULL, 10)))
		return err_set(e, ERR_INVALID,
		    "--cert, --key and --days are of --self-signed, which is not given");
	if (!o->self_signed && args->n > (o->pub ? 1 : 0))
		return err_set(e, ERR_INVALID, "one argument too many; see " PROG " --help");
	return 0;
}

int
keygen_main(int argc, char **argv)
{
	struct keygen_opts o = { 0 };
	struct opt_result res;
	struct errtext e;
	int r = cmd_options(&spec, argc, argv, &o, &res);

	if (r == CMD_GO) {
		rand_init();
		if ((r = check(&o, &res.args, &e)) != 0)
			r = complain(r, &e);
		else if (o.join != NULL)
			r = make_join(&o);
		else if (o.pub)
			r = print_public(res.args.n > 0 ? res.args.v[0] : NULL);
		else if (o.secret)
			r = make_secret(&o);
		else if (o.self_signed)
			r = make_cert(&o, &res.args);
		else
			r = make_pair(&o);
	}
	opt_fini(&spec, &o, &res);
	return r;
}
