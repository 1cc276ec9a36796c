/* SPDX-License-Identifier: ISC */
/* hex - hexadecimal digits. */
#ifndef LIB_HEX_H
#define LIB_HEX_H

/* hex_digits - the sixteen, in lower case. */
extern const char hex_digits[];

/* hex_value - 0 to 15 for a digit in either case, else -1. */
int hex_value(char c);

#endif
