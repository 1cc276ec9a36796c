/* SPDX-License-Identifier: ISC */
/*
 * delay - a network link with a delay that TCP itself feels, for kernels without netem.
 *
 *   delay NAME MILLISECONDS
 *
 * Makes the TUN device NAME, which the caller then gives an address, say 10.9.1.1/24. A packet that
 * is sent to another address of that network comes back MILLISECONDS later with source and
 * destination exchanged. So a program on 10.9.1.1 is reached as 10.9.1.2 from the same machine, and
 * every packet between the two, in both directions, has crossed the link once. The checksums stay
 * right, as they are sums in which both addresses stand.
 *
 * Packets are as large as the kernel's segmentation offload makes them, so some Gbit/s cost little.
 * Ends on SIGTERM or SIGINT, and says what it has carried and what it had no room for.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/*
 * What may be under way at once: 1 GB/s for a quarter of a second. Pages that are not used cost
 * nothing.
 */
#define RING_LEN ((size_t)256 << 20)
/* The virtio header, and the largest packet that IPv4 knows. */
#define PACKET_MAX (sizeof(struct virtio_net_hdr) + 65536)
/* Packets read before those that are due are looked at again. */
#define BATCH 64
/* Offsets in an IPv4 header. */
#define IP_SRC (sizeof(struct virtio_net_hdr) + 12)
#define IP_DST (sizeof(struct virtio_net_hdr) + 16)
#define IP_HDR_LEN (sizeof(struct virtio_net_hdr) + 20)

/*
 * One packet in the ring; its bytes follow. The delay is the same for all, so they stand in the
 * order in which they leave.
 */
struct packet {
	uint64_t due_ns;
	/* 0: the rest of the ring is unused, the next packet is at its start */
	size_t len;
};

static struct {
	int fd;
	uint64_t delay_ns;
	uint8_t *ring;
	/*
	 * Where the next packet goes, where the oldest is, and how many bytes lie between; never
	 * split by the ring's end.
	 */
	size_t head, tail, used;
	uint64_t n, bytes, lost;
} link_;

static volatile sig_atomic_t stopped;

static void
stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static void
die(const char *what)
{
	fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
open_device(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };

	if ((link_.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0)
		die("/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(link_.fd, TUNSETIFF, &ifr) != 0)
		die(name);
	if (ioctl(link_.fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0)
		die("segmentation offload");
}

static size_t
record_len(size_t len)
{
	return (sizeof(struct packet) + len + 7) & ~(size_t)7;
}

static struct packet *
packet_at(size_t off)
{
	return (struct packet *)(void *)(link_.ring + off);
}

/* Room for the largest packet at head, in one piece; false if there is none. */
static bool
make_room(void)
{
	size_t need = record_len(PACKET_MAX) + sizeof(struct packet), end = RING_LEN - link_.head;

	if (RING_LEN - link_.used < need)
		return false;
	if (end >= need)
		return true;
	if (RING_LEN - link_.used - end < need)
		return false;
	packet_at(link_.head)->len = 0;
	link_.used += end;
	link_.head = 0;
	return true;
}

static void
exchange_addresses(uint8_t *p)
{
	uint8_t src[4];

	memcpy(src, p + IP_SRC, 4);
	memcpy(p + IP_SRC, p + IP_DST, 4);
	memcpy(p + IP_DST, src, 4);
}

/* Takes one packet from the device; false if there is none. */
static bool
take(uint64_t now)
{
	static uint8_t spill[PACKET_MAX];
	bool room = make_room();
	uint8_t *p = room ? (uint8_t *)(packet_at(link_.head) + 1) : spill;
	ssize_t n = read(link_.fd, p, PACKET_MAX);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			die("read");
		return false;
	}
	/* What is no IPv4 (the kernel looks for IPv6 routers) has nobody to go to. */
	if ((size_t)n < IP_HDR_LEN || p[sizeof(struct virtio_net_hdr)] >> 4 != 4)
		return true;
	if (!room) {
		link_.lost++;
		return true;
	}
	exchange_addresses(p);
	*packet_at(link_.head) =
	    (struct packet){ .due_ns = now + link_.delay_ns, .len = (size_t)n };
	link_.head += record_len((size_t)n);
	link_.used += record_len((size_t)n);
	link_.n++;
	link_.bytes += (uint64_t)n;
	return true;
}

/* Gives back what is due; the nanoseconds until the next packet is, UINT64_MAX if there is none. */
static uint64_t
give(void)
{
	struct packet *p;
	uint64_t now = now_ns();

	while (link_.used > 0) {
		p = packet_at(link_.tail);
		if (p->len == 0) {
			link_.used -= RING_LEN - link_.tail;
			link_.tail = 0;
			continue;
		}
		if (p->due_ns > now)
			return p->due_ns - now;
		if (write(link_.fd, p + 1, p->len) < 0)
			link_.lost++;
		link_.tail += record_len(p->len);
		link_.used -= record_len(p->len);
	}
	return UINT64_MAX;
}

static void
carry(void)
{
	struct pollfd pfd = { .fd = link_.fd, .events = POLLIN };
	struct timespec t;
	uint64_t wait;

	while (!stopped) {
		uint64_t now = now_ns();

		for (int i = 0; i < BATCH && take(now); i++)
			;
		wait = give();
		t = (struct timespec){ .tv_sec = (time_t)(wait / 1000000000u),
			.tv_nsec = (long)(wait % 1000000000u) };
		if (ppoll(&pfd, 1, wait == UINT64_MAX ? NULL : &t, NULL) < 0 && errno != EINTR)
			die("poll");
	}
}

int
main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = stop };

	if (argc != 3) {
		fprintf(stderr, "usage: delay NAME MILLISECONDS\n");
		return 2;
	}
	link_.delay_ns = (uint64_t)(strtod(argv[2], NULL) * 1e6);
	link_.ring = mmap(NULL, RING_LEN, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (link_.ring == MAP_FAILED)
		die("memory");
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	open_device(argv[1]);
	carry();
	printf("%s: %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64 " lost\n", argv[1], link_.n,
	    link_.bytes, link_.lost);
	return 0;
}
