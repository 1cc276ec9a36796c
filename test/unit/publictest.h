/* SPDX-License-Identifier: ISC */
/*
 * publictest - a relay whose agents are the test (relaytest.h) and whose visitors are real sockets.
 */
#ifndef TEST_UNIT_PUBLICTEST_H
#define TEST_UNIT_PUBLICTEST_H

#include "cmd/relay/ingress/publish.h"
#include "proto/request.h"
#include "test/unit/relaytest.h"

/* Ports that the relay has; some of them may be taken by other programs. */
#define PUBLICTEST_PORTS 64

/* publictest_init - relaytest_init, with public ports on 127.0.0.1 and a long grace period. */
void publictest_init(struct relay *r, int n);
void publictest_fini(struct relay *r);

/* publictest_ask - the agent says this (the members of a request but its id); the answer. */
const struct request_reply *publictest_ask(struct fake_session *agent, const char *members);

/* publictest_publish - the service as tcp, with more members ("" or ",..."); its port, 0: no. */
uint16_t publictest_publish(struct fake_session *agent, const char *service, const char *more);
void publictest_withdraw(struct fake_session *agent, const char *service);

/* publictest_web - web listeners at these ports, and these domains; NULL: no more of them. */
void publictest_web(
    struct relay *r, uint16_t http, uint16_t https, const char *domain, const char *other);

/* publictest_find - what is published under this name on w; NULL: nothing. */
struct publication *publictest_find(struct worker *w, const char *agent, const char *service);

/*
 * publictest_visit - a visitor's socket, connected to the port from this address of the machine
 * ("127.0.0.2"), or from any (NULL).  -1: nobody listens there.
 */
int publictest_visit(uint16_t port, const char *from);

/* What a visitor's program sees. */
enum visit { VISIT_OPEN, VISIT_FIN, VISIT_RESET };
enum visit publictest_look(int fd);

/* publictest_ends - turn w's loop until the visitor's connection is over; and close it. */
enum visit publictest_ends(struct worker *w, int fd);

/* publictest_streams - turn w's loop until the agent's session was asked for n streams in all. */
bool publictest_streams(struct worker *w, const struct fake_session *agent, size_t n);

/* publictest_arrived - turn w's loop until n visitors of pub are there, waiting or carried. */
bool publictest_arrived(const struct publication *pub, unsigned n);

#endif
