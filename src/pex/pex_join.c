/* SPDX-License-Identifier: Apache-2.0 */

/* Peer exchange in several networks of one switch: one has the reactor, and the
   others have joined it. */

#include "pex_impl.h"

#include "sys/lock.h"

static bool is_of(const cmt_pex *p, cmt_bytes network) {
  return p->network[0] == '\0' ||
         cmt_bytes_equal(network, cmt_bytes_of(p->network));
}

/* Under the lock of |host|. */
static cmt_pex *find(cmt_pex *host, cmt_bytes network) {
  if (is_of(host, network)) {
    return host;
  }
  for (size_t i = 0; i < host->guest_count; i++) {
    if (is_of(host->guests[i], network)) {
      return host->guests[i];
    }
  }
  return NULL;
}

cmt_pex *cmt__pex_of(cmt_pex *host, const cmt_peer *peer) {
  cmt_pex *found;

  cmt__lock(&host->lock);
  found = find(host, cmt_peer_node_info(peer)->network);
  cmt__unlock(&host->lock);
  return found;
}

/* NULL: there are no more. */
static cmt_pex *guest_at(cmt_pex *host, size_t i) {
  cmt_pex *guest;

  cmt__lock(&host->lock);
  guest = i < host->guest_count ? host->guests[i] : NULL;
  cmt__unlock(&host->lock);
  return guest;
}

void cmt__pex_begin_guests(cmt_pex *host, cmt_switch *sw) {
  cmt_pex *guest;

  for (size_t i = 0; (guest = guest_at(host, i)) != NULL; i++) {
    (void)cmt__pex_begin(guest, sw);
  }
}

void cmt__pex_end_guests(cmt_pex *host) {
  cmt_pex *guest;

  for (size_t i = 0; (guest = guest_at(host, i)) != NULL; i++) {
    cmt__pex_end(guest);
  }
}

/* Under the lock of |host|. */
static cmt_err add(cmt_pex *host, cmt_pex *p, cmt_why *why) {
  void *guests = host->guests;

  if (find(host, cmt_bytes_of(p->network)) != NULL) {
    return cmt__why(why, CMT_EDUPLICATE, CMT_STAGE_TRANSPORT,
                    "the host has the network %s", p->network);
  }
  if (host->guest_count == host->guest_cap &&
      !cmt__grow(&host->env, &guests, &host->guest_cap, sizeof(cmt_pex *), 8)) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  host->guests = guests;
  host->guests[host->guest_count++] = p;
  return CMT_OK;
}

/* Takes the roles of a guest and of a host, which no other thread can give them
   any more.  NULL, or why it cannot be. */
static const char *roles_take(cmt_pex *p, cmt_pex *host) {
  long role = 0;

  if (!atomic_compare_exchange_strong(&p->role, &role, CMT__PEX_GUEST)) {
    return "the exchange that joins has joined before, or is a host";
  }
  role = atomic_load(&host->role);
  do {
    if (role == CMT__PEX_GUEST) {
      atomic_store(&p->role, 0);
      return "the host has joined another one";
    }
  } while (!atomic_compare_exchange_weak(&host->role, &role, role + 1));
  return NULL;
}

static void roles_give_back(cmt_pex *p, cmt_pex *host) {
  atomic_fetch_sub(&host->role, 1);
  atomic_store(&p->role, 0);
}

static cmt_err begin(cmt_pex *p, cmt_pex *host, cmt_why *why) {
  const char *fault = NULL;

  if (p == NULL || host == NULL) {
    fault = "an exchange is NULL";
  } else if (p == host) {
    fault = "an exchange cannot join itself";
  } else if (p->network[0] == '\0') {
    fault = "the exchange that joins has no network";
  } else if (host->network[0] == '\0') {
    fault = "the host has no network";
  } else {
    fault = roles_take(p, host);
  }
  return fault == NULL
           ? CMT_OK
           : cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s", fault);
}

cmt_err cmt_pex_join(cmt_pex *p, cmt_pex *host, cmt_why *why) {
  cmt_err err = begin(p, host, why);

  if (err != CMT_OK) {
    return err;
  }
  cmt__lock(&host->outer);
  cmt__lock(&host->lock);
  err = add(host, p, why);
  cmt__unlock(&host->lock);
  if (err == CMT_OK && host->sw != NULL) {
    (void)cmt__pex_attach(p, host->sw);
  }
  cmt__unlock(&host->outer);
  if (err != CMT_OK) {
    roles_give_back(p, host);
  } else {
    cmt__pex_dial_listed(p);
    cmt__pex_wake(p);
  }
  return err;
}
