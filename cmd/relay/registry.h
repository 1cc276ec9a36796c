/* SPDX-License-Identifier: ISC */
/*
 * registry - the one table all workers share: which worker owns an agent's name.
 *
 * The sessions of an agent and of all clients that are bound to it live on one worker, so that
 * their bytes need no lock.  A name gets its worker when the first session binds it, and keeps it
 * until the last has released it.
 *
 * A question is answered by a callback, at once (within the call) or later: the table of this
 * process answers at once, one that is shared by several relays has to be asked.  Whoever asks must
 * be ready for both.
 */
#ifndef CMD_RELAY_REGISTRY_H
#define CMD_RELAY_REGISTRY_H

struct registry;

/* A question that waits for its answer; embedded in the asker, who sets the two members. */
struct registry_ask {
	/*
	 * Called once, in the thread that asked.
	 *   worker  the index of the worker that owns the name, and one reference was taken; or
	 *           ERR_*
	 */
	void (*answer)(void *arg, int worker);
	void *arg;
};

/*
 * What a kind of registry provides; all members are set.  The functions below say what each one
 * does.
 */
struct registry_ops {
	void (*bind)(struct registry *r, struct registry_ask *q, const char *name);
	void (*cancel)(struct registry *r, struct registry_ask *q);
	void (*release)(struct registry *r, const char *name);
	void (*free)(struct registry *r);
};

/* Embedded as the first member of each kind. */
struct registry {
	const struct registry_ops *ops;
};

/*
 * registry_new - the table of this process, for n_workers workers: a name goes where the fewest
 * are.  NULL: no memory.
 */
struct registry *registry_new(int n_workers);

/* registry_free - accepts NULL.  Nobody waits for an answer any more. */
void registry_free(struct registry *r);

/*
 * registry_bind - whose is name (borrowed for the call)?  It is registered if it is nobody's.  Any
 * thread.
 */
void registry_bind(struct registry *r, struct registry_ask *q, const char *name);

/*
 * registry_cancel - the answer is not wanted any more: it will not be called, and holds no
 * reference.
 */
void registry_cancel(struct registry *r, struct registry_ask *q);

/* registry_release - give one reference back; with the last the name is free.  Any thread. */
void registry_release(struct registry *r, const char *name);

#endif
