/* SPDX-License-Identifier: ISC */
/* proxied - the PROXY header before everything else on a connection. */
#include "cmd/relay/ingress/proxied.h"

#include <errno.h>
#include <sys/socket.h>

#include "lib/net/proxy_hdr.h"

int
proxied_read(int fd, struct addr *from, struct addr *to, struct errtext *why)
{
	uint8_t p[PROXY_HDR_MAX_V2];
	struct proxy_hdr h;
	ssize_t n = recv(fd, p, sizeof p, MSG_PEEK);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return ERR_AGAIN;
	if (n <= 0)
		return err_set(why, ERR_CLOSED, "the connection ended before its PROXY header");
	r = proxy_hdr_parse(p, (size_t)n, &h, why);
	if (r <= 0)
		return r == 0 ? ERR_AGAIN : r;
	IGNORE_RESULT(recv(fd, p, (size_t)r, 0)); /* the bytes that were just seen */
	if (h.local)
		return 0;
	*from = h.from;
	*to = h.to;
	return 0;
}
