/* SPDX-License-Identifier: ISC */
/* offerwords - an agent's services from words, as its command line has them.  Header only. */
#ifndef TEST_UNIT_OFFERWORDS_H
#define TEST_UNIT_OFFERWORDS_H

#include <stdlib.h>
#include <string.h>

#include "cmd/agent/offer.h"
#include "lib/base/mem.h"

/* For each option its values, separated by blanks; NULL: none. */
struct offer_words {
	const char *tcp, *http, *tls, *allow, *udp;
};

/* text is changed and lent to the list, whose array is to be freed. */
static inline struct opt_list
offer_word_list(char *text)
{
	struct opt_list l = { calloc(OFFERS_MAX + 8, sizeof *l.v), 0 };
	char *save = NULL;

	if (l.v == NULL || text == NULL)
		abort();
	for (char *w = strtok_r(text, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
		if (l.n == OFFERS_MAX + 8)
			abort();
		l.v[l.n++] = w;
	}
	return l;
}

/* offers_of_words - offers_new of them. */
static inline int
offers_of_words(const struct offer_words *words, struct offers **out, struct errtext *e)
{
	const char *text[] = { words->tcp, words->http, words->tls, words->allow, words->udp };
	struct opt_list l[5];
	char *copy[5];
	int r;

	for (int i = 0; i < 5; i++) {
		copy[i] = strdup(text[i] != NULL ? text[i] : "");
		l[i] = offer_word_list(copy[i]);
	}
	*out = NULL;
	r = offers_new(
	    &(struct offer_lists){
		.tcp = &l[0], .http = &l[1], .tls = &l[2], .allow = &l[3], .udp = &l[4] },
	    out, e);
	for (int i = 0; i < 5; i++) {
		free(l[i].v);
		free(copy[i]);
	}
	return r;
}

#endif
