/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching to cgroups, and the pins by which that outlives us. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cgroup.h"
#include "sluice/array.h"
#include "steer_private.h"

int steer_pin_link(const struct steer *s, struct bpf_link **link, const char *name)
{
	char path[sizeof(s->pin_dir) + 64];
	int r;

	if (s->audit)
		return 0;
	snprintf(path, sizeof(path), "%s/link_%s", s->pin_dir, name);
	r = bpf_link__pin(*link, path);
	if (r < 0) /* what would not outlive us does not count as attached */
		steer_detach_link(link);
	return r;
}

int steer_attach_program(struct steer *s, struct attach_point *p, int cgroup_fd,
			 struct bpf_program *program, struct bpf_link **link)
{
	char name[64];

	*link = bpf_program__attach_cgroup(program, cgroup_fd);
	if (!*link)
		return -errno;
	snprintf(name, sizeof(name), "%u_%s", p->number, bpf_program__name(program));
	return steer_pin_link(s, link, name);
}

/* The order matters twice: whoever is in the cgroup meets the refusing hooks before the steering
 * ones, and on detaching the backstop is the last to go. */
static int attach_all(struct steer *s, struct attach_point *p, int cgroup_fd)
{
	struct bpf_program *const programs[] = {
		s->skel->progs.steer_inbound,	   s->skel->progs.steer_passive,
		s->skel->progs.steer_backstop,	   s->skel->progs.steer_socket,
		s->skel->progs.steer_sendmsg4,	   s->skel->progs.steer_sendmsg6,
		s->skel->progs.steer_recvmsg4,	   s->skel->progs.steer_recvmsg6,
		s->skel->progs.steer_sock_ops,	   s->skel->progs.steer_getpeername4,
		s->skel->progs.steer_getpeername6, s->skel->progs.steer_getsockname4,
		s->skel->progs.steer_getsockname6, s->skel->progs.steer_connect4,
		s->skel->progs.steer_connect6,
	};
	int r;

	_Static_assert(ARRAY_SIZE(programs) == STEER_LINKS, "one link for each program");
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		r = steer_attach_program(s, p, cgroup_fd, programs[i], &p->links[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static void explain_attach(struct error *err, int r)
{
	if (r == -EPERM)
		error_set(err,
			  "another BPF program is attached exclusively to a cgroup above the "
			  "workload's, so ours cannot be: find it with \"bpftool cgroup tree\" "
			  "and attach it with BPF_F_ALLOW_MULTI, or start sluice elsewhere");
	else
		error_set(err, "cannot attach the BPF programs to the cgroup: %s", strerror(-r));
}

#define PIN_TRIES 100

/* The parent (<bpffs>/sluice) is shared by all runs and stays until the last one is gone. */
static int make_pin_dir(struct steer *s, const char *pin_dir)
{
	char parent[sizeof(s->pin_dir)];
	size_t len = strlen(pin_dir);
	int tries = PIN_TRIES, r;
	char *slash;

	if (len >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, pin_dir, len + 1);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return -EINVAL;
	*slash = '\0';
	/* A run that ends right now may take the parent away again. */
	do {
		if (mkdir(parent, 0700) < 0 && errno != EEXIST)
			return -errno;
		r = mkdir(pin_dir, 0700) < 0 ? -errno : 0;
	} while (r == -ENOENT && --tries > 0);
	if (r < 0)
		return r;
	memcpy(s->pin_dir, pin_dir, len + 1);
	return 0;
}

static int pin_maps(struct steer *s, const char *pin_dir, struct error *err)
{
	int r;

	if (s->audit || s->pin_dir[0])
		return 0;
	r = make_pin_dir(s, pin_dir);
	if (r < 0) {
		error_set(err, "cannot make the directory %s for the BPF pins: %s", pin_dir,
			  strerror(-r));
		return r;
	}
	r = bpf_object__pin_maps(s->skel->obj, s->pin_dir);
	if (r < 0)
		error_set(err, "cannot pin the BPF maps in %s: %s", pin_dir, strerror(-r));
	return r;
}

/* The inode number of a directory of cgroup2 is the id of the cgroup. */
static uint64_t id_of(int cgroup_fd)
{
	struct stat st;

	return fstat(cgroup_fd, &st) < 0 ? 0 : (uint64_t)st.st_ino;
}

void steer_detach_link(struct bpf_link **link)
{
	if (!*link)
		return;
	bpf_link__unpin(*link);
	bpf_link__detach(*link);
	bpf_link__destroy(*link);
	*link = NULL;
}

static struct attach_point **find(struct steer *s, uint64_t cgroup)
{
	struct attach_point **at = &s->attached;

	while (*at && (*at)->cgroup != cgroup)
		at = &(*at)->next;
	return at;
}

static void remove_point(struct attach_point **at)
{
	struct attach_point *p = *at;

	steer_detach_link(&p->release);
	for (size_t i = STEER_LINKS; i-- > 0;)
		steer_detach_link(&p->links[i]);
	*at = p->next;
	free(p);
}

/* The kernel lets go of a cgroup that was removed when its last socket closes. */
static bool is_let_go(const struct attach_point *p)
{
	struct bpf_link_info info;
	uint32_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	return bpf_obj_get_info_by_fd(bpf_link__fd(p->links[0]), &info, &len) == 0 &&
	       !info.cgroup.cgroup_id;
}

/* A cgroup that is gone has sockets as long as somebody holds them, and they are refused by these
 * programs. What cannot be told is not so. */
static bool may_go(const struct attach_point *p)
{
	struct cgroup cg = { .fd = -1 };
	int r = cgroup_open_id(&cg, p->cgroup);

	cgroup_done(&cg);
	return r == -ENOENT ? is_let_go(p) : r == 0;
}

void steer_forget_points(struct steer *s)
{
	struct attach_point **at = &s->attached;

	while (*at) {
		if ((*at)->unwanted && may_go(*at))
			remove_point(at);
		else
			at = &(*at)->next;
	}
}

static int attach_point(struct steer *s, int cgroup_fd)
{
	struct attach_point *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->cgroup = id_of(cgroup_fd);
	p->number = s->attached_before++;
	p->next = s->attached;
	s->attached = p;
	r = attach_all(s, p, cgroup_fd);
	if (r < 0)
		remove_point(&s->attached);
	return r;
}

int steer_attach(struct steer *s, int cgroup_fd, const char *pin_dir, struct error *err)
{
	struct attach_point *p;
	int r;

	steer_forget_points(s);
	p = *find(s, id_of(cgroup_fd));
	if (p && p->unwanted) {
		p->unwanted = false;
		return 0;
	}
	if (p) {
		error_set(err, "the BPF programs are attached to that cgroup already");
		return -EEXIST;
	}
	r = pin_maps(s, pin_dir, err);
	if (r < 0)
		return r;
	r = attach_point(s, cgroup_fd);
	if (r < 0) {
		explain_attach(err, r);
		return r;
	}
	steer_attach_lookup(s);
	return 0;
}

int steer_detach(struct steer *s, int cgroup_fd)
{
	struct attach_point **at = find(s, id_of(cgroup_fd));

	if (!*at || (*at)->unwanted)
		return -ENOENT;
	(*at)->unwanted = true;
	steer_forget_points(s);
	return 0;
}

void steer_detach_all(struct steer *s)
{
	for (uint32_t i = 0; s->namespaces && i < s->n_namespaces; i++)
		steer_detach_lookup(&s->namespaces[i]);
	while (s->attached)
		remove_point(&s->attached);
}

void steer_unpin(struct steer *s)
{
	if (!s->pin_dir[0])
		return;
	bpf_object__unpin_maps(s->skel->obj, s->pin_dir);
	rmdir(s->pin_dir);
	*strrchr(s->pin_dir, '/') = '\0';
	rmdir(s->pin_dir); /* stays while another run pins there */
	s->pin_dir[0] = '\0';
}
