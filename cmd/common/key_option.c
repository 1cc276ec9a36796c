/* SPDX-License-Identifier: ISC */
/* key_option - a private key from the command line, the environment or a file. */
#include "cmd/common/key_option.h"

#include "lib/base/log.h"

static int
take(struct key_opts *o, struct secret **out, struct errtext *e)
{
	struct errtext warning = { "" };
	int r = 0;

	*out = o->key;
	o->key = NULL;
	if (*out == NULL && o->file != NULL)
		r = secret_from_file(o->file, out, &warning, e);
	if (warning.s[0] != '\0')
		log_warnx("%s", warning.s);
	return r;
}

int
key_option_load(
    struct key_opts *o, enum tls_keyed_end end, struct tls_keyed **out, struct errtext *e)
{
	struct secret *text = NULL;
	struct errtext why = { "" };
	int r = take(o, &text, e);

	*out = NULL;
	if (r != 0 || text == NULL)
		return r;
	if ((r = tls_keyed_new(text, end, TLS_KEYED_LOGIN, out, &why)) != 0)
		err_set(e, r, "%s%s%s", o->file != NULL ? o->file : "", o->file != NULL ? ": " : "",
		    why.s);
	secret_free(text);
	return r;
}
