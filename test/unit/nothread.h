/* SPDX-License-Identifier: ISC */
/*
 * nothread - threads that are not to be had while the test says so.  Header only.  A test that uses
 * it has in its head comment
 *
 *      * link: -Wl,--wrap=pthread_create
 */
#ifndef TEST_UNIT_NOTHREAD_H
#define TEST_UNIT_NOTHREAD_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

int __real_pthread_create(
    pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg);
int __wrap_pthread_create(
    pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg);

static bool no_thread;

int
__wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg)
{
	return no_thread ? EAGAIN : __real_pthread_create(t, attr, fn, arg);
}

#endif
