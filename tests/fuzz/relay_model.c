/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_model.h"
#include "head_model.h"
#include "require.h"

/* The bytes that have to leave for it. */
static uint64_t hash_head(const struct h1_head *head)
{
	size_t n;
	const struct header_action *const *actions = stage_actions(head->req.path, &n);

	return head_model_hash(head->raw, actions, n);
}

static void on_judged(void *ctx, const struct h1_head *head, enum judged verdict)
{
	struct relay_model *m = ctx;

	REQUIRE(m->n_judged < MODEL_REQUESTS_MAX);
	/* No request is read while it is open which protocol comes, or whose answers come. */
	REQUIRE(!m->tunnel && !m->holding && !m->raw && !m->stale);
	m->requests[m->n_judged++] = (struct model_request){
		.hash = hash_head(head),
		.verdict = (uint8_t)verdict,
		.upgrade = (uint8_t)head->upgrade,
		.head = head->head,
		.connect = head->connect,
		.expect = head->expect_continue,
	};
	m->n_allowed += verdict == JUDGED_ALLOW;
}

static void on_refused(void *ctx, unsigned status)
{
	struct relay_model *m = ctx;

	m->refused = status;
}

/* --- up --- */

static void on_request_head(struct relay_model *m)
{
	const struct h1_head *head = &m->scratch;

	REQUIRE(!m->raw && !m->holding);
	while (m->n_up < m->n_judged && m->requests[m->n_up].verdict != JUDGED_ALLOW)
		m->n_up++;
	REQUIRE(m->n_up < m->n_judged);
	REQUIRE(m->requests[m->n_up].hash == head_model_hash(head->raw, NULL, 0));
	REQUIRE(stage_verdict(&head->req, head->connect) == JUDGED_ALLOW);
	m->n_up++;
	m->n_heads_up++;
	m->in_request = true;
	m->body_begun = false;
}

static void on_request_end(struct relay_model *m)
{
	const struct model_request *last = &m->requests[m->n_up - 1];

	m->in_request = false;
	/* If it was answered already, its answer has declined. */
	if (m->n_answered < m->n_up && (last->connect || last->upgrade != H1_UPGRADE_NONE))
		m->holding = true;
}

static void on_up(struct relay_model *m, const char *buf, size_t len)
{
	enum h1_event event = H1_BODY;
	size_t at = 0;

	if (m->tunnel)
		return;
	REQUIRE(!m->stale);
	while (at < len || event != H1_MORE) {
		ssize_t n;

		REQUIRE(at == len || !m->holding);
		n = h1_feed(&m->up, buf + at, len - at, &m->scratch, &event);
		REQUIRE(n >= 0);
		REQUIRE(event != H1_MORE || at == len); /* whole pieces only */
		if (event == H1_HEAD)
			on_request_head(m);
		else if (n > 0)
			m->body_begun = true;
		if (event == H1_END)
			on_request_end(m);
		at += (size_t)n;
	}
}

/* --- down --- */

static void on_response_head(struct relay_model *m, const struct model_request *x)
{
	unsigned status = m->scratch.status;
	bool awaited = m->in_request && m->n_answered + 1 == m->n_up; /* its body is under way */

	m->in_response = true;
	m->interim = status < 200 && status != 101;
	if (status == 101)
		REQUIRE(m->holding && m->n_answered + 1 == m->n_up &&
			x->upgrade == H1_UPGRADE_WEBSOCKET);
	if (status == 100 && awaited)
		m->body_begun = true;
	if (status >= 200 && awaited && x->expect && !m->body_begun)
		m->stale = true;
}

static void on_response_end(struct relay_model *m, const struct model_request *x)
{
	unsigned status = m->scratch.status;
	bool last = m->n_answered + 1 == m->n_up;

	m->in_response = false;
	if (m->interim)
		return;
	m->n_answered++;
	if (status == 101 || (x->connect && status / 100 == 2)) {
		REQUIRE(m->holding && last);
		m->tunnel = true;
	}
	if (last)
		m->holding = false;
}

/* The request that the server's next bytes must belong to, or NULL. */
static const struct model_request *answering(const struct relay_model *m)
{
	const struct model_request *x = &m->requests[m->n_answered];

	return m->n_answered < m->n_up && x->verdict == JUDGED_ALLOW ? x : NULL;
}

static void on_down(struct relay_model *m, const char *buf, size_t len)
{
	enum h1_event event = H1_BODY;
	size_t at = 0;

	while (!m->tunnel && !m->raw && (at < len || event != H1_MORE)) {
		const struct model_request *x = answering(m);
		ssize_t n;

		if (!x) {
			REQUIRE(at == len); /* an answer to no request does not pass */
			break;
		}
		if (!m->in_response)
			h1_expect(&m->down, x->head, x->connect);
		n = h1_feed(&m->down, buf + at, len - at, &m->scratch, &event);
		if (n < 0 || (event == H1_MORE && at < len)) {
			m->raw = true; /* only what cannot be read passes in part */
			break;
		}
		if (event == H1_HEAD)
			on_response_head(m, x);
		if (event == H1_END)
			on_response_end(m, x);
		at += (size_t)n;
	}
}

static void on_passed(void *ctx, enum relay_side to, const char *buf, size_t len)
{
	if (to == RELAY_UP)
		on_up(ctx, buf, len);
	else
		on_down(ctx, buf, len);
}

/* Read an answer of sluice's own: one whole message. Returns its status. */
static unsigned read_answer(struct relay_model *m, const char *buf, size_t len, bool head)
{
	struct h1 parser;
	enum h1_event event;
	size_t at = 0;

	h1_init(&parser, H1_RESPONSE);
	h1_expect(&parser, head, false);
	do {
		ssize_t n = h1_feed(&parser, buf + at, len - at, &m->scratch, &event);

		REQUIRE(n >= 0 && event != H1_MORE);
		at += (size_t)n;
	} while (event != H1_END);
	REQUIRE(at == len);
	return m->scratch.status;
}

static void on_answer(void *ctx, const char *buf, size_t len)
{
	struct relay_model *m = ctx;
	const struct model_request *x = &m->requests[m->n_answered];
	bool judged = m->n_answered < m->n_judged;
	unsigned status;

	REQUIRE(!m->raw && !m->tunnel && !m->in_response);
	status = read_answer(m, buf, len, judged && x->head);
	if (judged && x->verdict == JUDGED_DENY) {
		REQUIRE(status == 403);
	} else if (judged && x->verdict == JUDGED_MALFORMED) {
		REQUIRE(status == 400);
	} else if (judged && x->verdict == JUDGED_TOO_LARGE) {
		REQUIRE(status == 431);
	} else {
		/* The server's turn, or nobody's: only if what the client sends was refused. */
		REQUIRE(status == m->refused && status != 403);
		REQUIRE(!judged || (m->in_request && m->n_answered + 1 == m->n_up));
	}
	m->n_answered += judged;
}

static const struct stage_watch watch = {
	.judged = on_judged,
	.passed = on_passed,
	.answer = on_answer,
	.refused = on_refused,
};

void model_begin(struct relay_model *m, struct stage *stage)
{
	h1_init(&m->up, H1_REQUEST);
	h1_init(&m->down, H1_RESPONSE);
	m->stage = stage;
	m->n_judged = m->n_up = m->n_answered = m->n_allowed = m->n_heads_up = 0;
	m->in_request = m->body_begun = m->holding = m->in_response = m->interim = false;
	m->tunnel = m->raw = m->stale = false;
	m->refused = 0;
	stage->watch = &watch;
	stage->watch_ctx = m;
}

void model_begin_audit(struct relay_model *m)
{
	m->stage->env.audit = true;
	m->stage->watch = NULL;
}

/* Whoever reads has got all that the other one said, unless it is he who is slow. */
static void check_audit(const struct stage *s)
{
	for (int from = 0; from < 2; from++) {
		const struct stage_side *side = &s->sides[from], *to = &s->sides[!from];

		REQUIRE(to->sent.len == side->taken.len);
		REQUIRE(to->stuck || side->wire.len == 0);
		REQUIRE(to->stuck || to->finished == side->hung_up);
		REQUIRE(side->unused.len < STAGE_BUFFER_MAX);
	}
	REQUIRE(!s->closed && !s->ended);
	REQUIRE(s->relay.n_exchanges <= s->env.limits->pipeline);
}

void model_check(const struct relay_model *m)
{
	const struct stage *s = m->stage;

	if (s->env.audit) {
		check_audit(s);
		return;
	}

	if (s->closed)
		return;
	REQUIRE(m->n_heads_up == m->n_allowed);
	REQUIRE(s->exchanges.n_lent == s->relay.n_exchanges);
	REQUIRE(s->relay.n_exchanges <= s->env.limits->pipeline + 1);
	REQUIRE(s->sides[0].unused.len <= STAGE_BUFFER_MAX);
	REQUIRE(s->sides[1].unused.len <= STAGE_BUFFER_MAX);
	REQUIRE(!s->relay.head_incomplete || s->relay.state == H1_RELAY_HTTP ||
		s->relay.state == H1_RELAY_RAW || s->ended);
}
