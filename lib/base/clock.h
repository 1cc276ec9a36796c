/* SPDX-License-Identifier: ISC */
/*
 * clock - what time it is, for those layers that may ask.
 *
 * proto/ takes time as an argument and never includes this.  Deadlines and round trips use the
 * monotonic clock, which neither a suspend nor an administrator sets back; the wall clock is for
 * people and for certificates.
 */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_ISO_LEN 24 /* "2026-01-02T03:04:05.678Z", without the NUL */

/*
 * clock_mono_ms, clock_mono_us - milli- and microseconds since an unknown start; never goes back.
 */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);

/* clock_wall_s - seconds since 1970-01-01T00:00:00Z. */
int64_t clock_wall_s(void);

/* clock_wall_iso - the time now as RFC 3339 in UTC with milliseconds, terminated, into out. */
void clock_wall_iso(char out[CLOCK_ISO_LEN + 1]);

#endif
