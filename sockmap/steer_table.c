/* SPDX-License-Identifier: Apache-2.0 */
/* The L3/L4 table: built beside the one in force, then put in its place in one step. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "steer_private.h"

#define TABLE_ENTRIES_MAX (1u << 20)

static int put(int fd, const struct lpm_key *key, uint32_t value)
{
	return bpf_map_update_elem(fd, key, &value, BPF_ANY);
}

static int put_peer(int fd, const struct l4_peer *p)
{
	struct endpoint e;
	struct lpm_key key;

	if ((p->family != WIRE_IPV4 && p->family != WIRE_IPV6) || !p->identity ||
	    p->prefix_len > (p->family == WIRE_IPV4 ? 32 : 128))
		return -EINVAL;
	memset(&e, 0, sizeof(e));
	e.family = p->family;
	memcpy(e.ip, p->ip, p->family == WIRE_IPV4 ? 4 : 16);
	lpm_key_peer(&key, &e, p->local, p->direction);
	key.bits = LPM_HEAD_BITS + p->prefix_len;
	return put(fd, &key, p->identity);
}

static int put_port(int fd, const struct l4_port *p)
{
	struct lpm_key key;

	if (p->prefix_len > 16 || decide_valid(p->action, p->protocol) != p->action)
		return -EINVAL;
	lpm_key_port(&key, p->identity, p->protocol, p->port, p->direction);
	key.bits = LPM_HEAD_BITS + 32 + p->prefix_len;
	return put(fd, &key, p->action);
}

static int fill(int fd, const struct l4_table *table)
{
	int r = 0;

	for (size_t i = 0; i < table->n_peers && r == 0; i++)
		r = put_peer(fd, &table->peers[i]);
	for (size_t i = 0; i < table->n_ports && r == 0; i++)
		r = put_port(fd, &table->ports[i]);
	return r;
}

/* Returns the descriptor of a filled trie, or a negative errno. */
static int build(const struct l4_table *table)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	size_t n = table->n_peers + table->n_ports;
	int fd, r;

	if (n > TABLE_ENTRIES_MAX)
		return -E2BIG;
	fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "table_trie", sizeof(struct lpm_key),
			    sizeof(uint32_t), n ? (uint32_t)n : 1, &options);
	if (fd < 0)
		return -errno;
	r = fill(fd, table);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* The slot that holds a table is replaced in one step, and the call returns only when no program
 * uses the old table any more: whoever then reads the new generation judges by the new one. Without
 * enforcement the slot is not read, so it is filled before enforcement begins and stays as it is
 * when enforcement ends. Where a later step fails, connect() meets the new table, and what was
 * connected before is held to the old one until the call is repeated. With the first table it
 * becomes a member: until then the workload above it holds it, if there is one. */
static int switch_to(struct steer *s, struct workload_slot *slot, int fd,
		     const struct l4_table *what)
{
	struct workload_config before = slot->config;
	bool had_ingress = s->config.ingress;
	uint32_t at = (uint32_t)(slot - s->slots);
	int r;

	if (what->enforced || what->ingress_enforced) {
		r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.tables), &at, &fd, BPF_ANY);
		if (r < 0)
			return r;
	}
	slot->config.generation = steer_next_generation(s);
	slot->config.enforced = what->enforced;
	slot->config.ingress = what->ingress_enforced;
	if (!slot->member)
		slot->config.since = s->config.members + 1;
	/* Nothing passes unasked before the slot says so. */
	r = steer_write_active(s);
	if (r == 0 && !had_ingress)
		steer_attach_lookup(s);
	if (r == 0)
		r = steer_write_slot(s, slot);
	if (r == 0)
		r = steer_make_member(s, slot);
	if (r < 0) {
		slot->config = before;
		steer_write_active(s); /* else more is asked for than there is to enforce */
	}
	return r;
}

/* Whatever is in the slot of those that are in no workload, nobody asks for it; but the kernel lets
 * a change of such a map return only when no program can have read what was before. */
int steer_wait_for_programs(struct steer *s)
{
	static const struct l4_table nothing = { .enforced = true };
	uint32_t at = SLOT_NONE;
	int fd = build(&nothing), r;

	if (fd < 0)
		return fd;
	r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.tables), &at, &fd, BPF_ANY);
	close(fd);
	return r;
}

int steer_build_table(const struct l4_table *table, struct error *err)
{
	int fd = build(table);

	if (fd == -E2BIG)
		error_set(err, "the policy has %zu peers and ports, more than %u: use wider CIDRs",
			  table->n_peers + table->n_ports, TABLE_ENTRIES_MAX);
	else if (fd < 0)
		error_set(err, "cannot load the policy's L3/L4 table: %s", strerror(-fd));
	return fd;
}

int steer_switch_table(struct steer *s, uint64_t workload, int fd, const struct l4_table *table,
		       struct error *err)
{
	struct workload_slot *slot = steer_slot_of(s, workload);
	int r = slot && !slot->leaving ? switch_to(s, slot, fd, table) : -ENOENT;

	if (r < 0)
		error_set(err, "cannot switch to the policy's new L3/L4 table: %s", strerror(-r));
	return r;
}

int steer_set_table(struct steer *s, uint64_t workload, const struct l4_table *table,
		    struct error *err)
{
	int fd = steer_build_table(table, err), r;

	if (fd < 0)
		return fd;
	r = steer_switch_table(s, workload, fd, table, err);
	close(fd); /* the slot holds it */
	return r;
}
