/* SPDX-License-Identifier: Apache-2.0 */
/* steer_private.h - what the files of steer share; nobody else includes it. */
#ifndef SLUICE_STEER_PRIVATE_H
#define SLUICE_STEER_PRIVATE_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/types.h>
#include "decide.h"
#include "shared.h"
#include "steer.h"
#include "adopt.skel.h"
#include "steer.skel.h"

#define STEER_LINKS	   15
#define STEER_ROUTES_MAX   (1u << 20)
#define STEER_EVENTS_BYTES (1u << 18) /* of the ring; each record in it has a header of 8 */
#define STEER_EVENTS_MAX   (STEER_EVENTS_BYTES / (8 + sizeof(struct event_record)))

/* One cgroup to which the programs are attached. */
struct attach_point {
	struct attach_point *next;
	uint64_t cgroup;		     /* id */
	uint32_t number;		     /* in the names of the pins, not used twice */
	bool unwanted;			     /* but sockets may be left there */
	struct bpf_link *links[STEER_LINKS]; /* in the order of attaching; NULL: not attached */
	struct bpf_link *release;	     /* the same, once there was an adoption */
};

/* One slot, as it stands in the maps. */
struct workload_slot {
	uint64_t cgroup; /* id; 0: free */
	bool member;	 /* it has, or has had, a table, and stands in `members` */
	bool stale;	 /* its generation is of before its flags */
	bool leaving;	 /* not a member any more, but not free either */
	struct workload_config config;
};

/* The cgroups that stand in `members` as SLOT_GONE. */
struct graves {
	uint64_t *ids;
	size_t n, capacity;
};

/* One network namespace, as it stands in the maps. */
struct netns_slot {
	int fd; /* of the namespace; only where CONFIG has a cookie */
	ino_t inode;
	int routes;		    /* the mirror of its routes (routes.h), or -1 */
	struct bpf_link *lookup;    /* NULL: nobody asked for it yet, or it was not to be had */
	struct netns_config config; /* without a cookie: the number is free */
};

struct steer {
	struct steer_bpf *skel;
	struct attach_point *attached;
	uint32_t attached_before;    /* numbers given to attach points */
	struct workload_slot *slots; /* from SLOT_FIRST; those before are not used */
	uint32_t n_slots;
	uint32_t serials, generations; /* given last */
	struct adopt_bpf *adopt;       /* NULL: not needed yet */
	struct graves graves;
	struct ring_buffer *events;
	struct steer_config config;    /* as it stands in the map */
	struct netns_slot *namespaces; /* by number */
	uint32_t n_namespaces;
	char pin_dir[512]; /* "" until it was made */
	bool audit;
	void (*on_event)(void *ctx, const struct steer_event *e); /* only within read_events */
	void *on_event_ctx;
	unsigned events_read; /* within one steer_read_events() */
};

/* Make S->config the one in force. */
int steer_write_config(struct steer *s);

/* What follows from the slots: is there anything to enforce? Written with the rest of the config.
 */
int steer_write_active(struct steer *s);
/* The slots of the maps that are no workload's. */
int steer_init_slots(struct steer *s);
/* The slot of a workload that may be changed, or NULL. */
struct workload_slot *steer_slot_of(struct steer *s, uint64_t workload);
int steer_write_slot(struct steer *s, const struct workload_slot *slot);
/* Whose slot is written, and says what is in force, becomes a member; again, nothing happens. */
int steer_make_member(struct steer *s, struct workload_slot *slot);
/* One that no table has had; never 0. */
uint32_t steer_next_generation(struct steer *s);

/* Attach to the network namespaces, where it is not done, if a table wants it. Why one could not be
 * attached says steer_prepare_ingress(). */
void steer_attach_lookup(struct steer *s);
void steer_attach_lookup_to(struct steer *s, struct netns_slot *n);
void steer_detach_lookup(struct netns_slot *n);
/* Unpin, detach, free; *LINK may be NULL and is afterwards. */
void steer_detach_link(struct bpf_link **link);
void steer_detach_all(struct steer *s);
/* Forget the attach points that nobody wants and of which no socket is left. */
void steer_forget_points(struct steer *s);
/* The maps, and the directory. */
void steer_unpin(struct steer *s);
/* Pin *LINK, but not in audit. 0, or a negative errno and it is detached. */
int steer_pin_link(const struct steer *s, struct bpf_link **link, const char *name);

/* Attach the program PROGRAM to P as *LINK, and pin it. 0, or a negative errno and it is not
 * attached. */
int steer_attach_program(struct steer *s, struct attach_point *p, int cgroup_fd,
			 struct bpf_program *program, struct bpf_link **link);
/* Wait until no program runs any more that may have read what was in the maps before. */
int steer_wait_for_programs(struct steer *s);

/* OBJ, which is not loaded yet, uses those of its maps that the steering has as well. */
int steer_share_maps(struct steer *s, struct bpf_object *obj);

/* Room for one grave more, or -ENOMEM. */
int steer_reserve_grave(struct steer *s);
/* Every socket that outlives its workload says so itself from now on, and `members` forgets. If it
 * cannot be done it is left to the next time: nothing is wrong until then. */
void steer_bury(struct steer *s);
void steer_close_adopt(struct steer *s);

/* A descriptor of the namespace with that number, which stays S's; -1: the caller's own. Returns 0,
 * or -ENOENT: there is no such number. */
int steer_netns_fd_of(const struct steer *s, uint32_t number, int *ret);

/* The end of a socket of ours. */
int steer_socket_name(int fd, struct endpoint *ret);

/* The host's namespace, when the maps are loaded. */
int steer_init_netns(struct steer *s);
void steer_close_netns(struct steer *s);
/* The registered namespace of socket FD, or NULL with a sentence in ERR. */
struct netns_slot *steer_netns_of(struct steer *s, int fd, struct error *err);
int steer_write_netns(struct steer *s, const struct netns_slot *n);
/* A descriptor that stays S's of the namespace with this inode number; -1: it is not registered. */
int steer_netns_fd(const struct steer *s, uint32_t inode);

/* N sums of a per-CPU array of counters, from KEY on. */
int steer_read_counters(int fd, uint32_t key, uint32_t n, uint64_t *sums);

/* One record of the ring, CTX is a struct steer; negative to stop after it. */
int steer_on_record(void *ctx, void *data, size_t size);

/* Of struct address, which keeps IPv4-mapped addresses as AF_INET, and back. */
struct endpoint endpoint_from_address(const struct address *a);
struct address address_from_endpoint(const struct endpoint *e);

#endif
