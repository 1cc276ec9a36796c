/* SPDX-License-Identifier: ISC */
/*
 * proxied - the PROXY header before everything else on a connection from --proxy-from.
 */
#ifndef CMD_RELAY_INGRESS_PROXIED_H
#define CMD_RELAY_INGRESS_PROXIED_H

#include "lib/base/err.h"
#include "lib/net/addr.h"

/* How long a trusted proxy may take to say who is behind it. */
#define PROXIED_MS 3000

/*
 * proxied_read - take the header off the socket, once it is there as a whole; what follows stays in
 * the kernel.
 *   from, to  whose connection it is and where it went; as they were if the proxy speaks for itself
 * ERR_AGAIN: it has not come yet; ERR_CLOSED, ERR_PROTO with why.
 */
int proxied_read(int fd, struct addr *from, struct addr *to, struct errtext *why) WARN_UNUSED;

#endif
