/* SPDX-License-Identifier: ISC */
/*
 * rfc3339 - text to seconds by the rules of the Gregorian calendar, without the C library's notion
 * of a time zone.
 */
#include "proto/rfc3339.h"

/* number - exactly n digits at *s, within 0..max; moves *s past them. */
static bool
number(const char **s, int n, int max, int *out)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (**s - '0');
	}
	*out = v;
	return v <= max;
}

static bool
literal(const char **s, char upper, char lower)
{
	if (**s != upper && **s != lower)
		return false;
	(*s)++;
	return true;
}

static int
days_in_month(int y, int m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return days[m - 1] + (m == 2 && leap);
}

/* days_before - days from 1970-01-01 to the first of January of year y, at least 0. */
static int64_t
days_before(int y)
{
	int64_t p = y - 1;

	return p * 365 + p / 4 - p / 100 + p / 400 - 719162; /* of 0001-01-01 to 1970-01-01 */
}

/* zone - "Z" or "+hh:mm": seconds that local time is ahead of UTC. */
static bool
zone(const char **s, int *out)
{
	int h, m, sign = **s == '-' ? -1 : 1;

	*out = 0;
	if (literal(s, 'Z', 'z'))
		return true;
	if (!literal(s, '+', '-') || !number(s, 2, 23, &h) || !literal(s, ':', ':') ||
	    !number(s, 2, 59, &m))
		return false;
	*out = sign * (h * 3600 + m * 60);
	return true;
}

bool
rfc3339_parse(const char *s, int64_t *out)
{
	int y, mon, d, h, min, sec, ahead;

	if (!number(&s, 4, 9999, &y) || !literal(&s, '-', '-') || !number(&s, 2, 12, &mon) ||
	    !literal(&s, '-', '-') || !number(&s, 2, 31, &d) || !literal(&s, 'T', 't') ||
	    !number(&s, 2, 23, &h) || !literal(&s, ':', ':') || !number(&s, 2, 59, &min) ||
	    !literal(&s, ':', ':') || !number(&s, 2, 60, &sec))
		return false;
	if (y == 0 || mon == 0 || d == 0 || d > days_in_month(y, mon))
		return false;
	if (literal(&s, '.', '.')) {
		int digit;

		if (!number(&s, 1, 9, &digit))
			return false;
		while (*s >= '0' && *s <= '9')
			s++;
	}
	if (!zone(&s, &ahead) || *s != '\0')
		return false;

	int64_t days = days_before(y) + d - 1;

	for (int m = 1; m < mon; m++)
		days += days_in_month(y, m);
	*out = days * 86400 + h * 3600 + min * 60 + sec - ahead;
	return true;
}
