// What all scenarios share: the users, one way to send requests, and one way to count.
//
// A step is one kind of request, a phase one part of a run. The answers of each step in each
// phase are counted separately:
//
//	took      2xx, and how long they took
//	refused   429 and 503, and how long they took: documented refusals
//	unknown   no answer to a POST that moves money: it may have moved or not
//	failed    anything else
//
// Nothing is retried, because a retry would hide an error. Accepted money is counted here, and
// the runner compares it with the books.
import http from 'k6/http';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { SharedArray } from 'k6/data';

const base = __ENV.BASE_URL;
const run = __ENV.RUN_ID;
let warnings = 0; // of this virtual user

export const users = new SharedArray('users', () => JSON.parse(open(__ENV.USERS_FILE)));

export const common = {
  discardResponseBodies: true,
  noCookiesReset: true,
  summaryTrendStats: ['count', 'p(50)', 'p(90)', 'p(99)', 'p(99.9)', 'max'],
  userAgent: 'kizo-loadtest',
};

// seconds reads a length such as 90s, 2m or 1h.
export function seconds(text) {
  const unit = { s: 1, m: 60, h: 3600 };
  let total = 0;
  for (const [, n, u] of text.matchAll(/([0-9.]+)([smh])/g)) {
    total += Number(n) * unit[u];
  }
  if (!(total > 0)) {
    throw new Error(`${text} is no length: write one such as 90s or 2m`);
  }
  return total;
}

// Step sends requests and counts their answers. Create it in the init context.
export class Step {
  constructor(name, phases = ['all']) {
    this.name = name;
    this.meters = {};
    for (const phase of phases) {
      const meter = (what) => `${name}__${phase}__${what}`;
      this.meters[phase] = {
        took: new Trend(meter('took'), true),
        refused: new Trend(meter('refused'), true),
        failed: new Counter(meter('failed')),
        unknown: new Counter(meter('unknown')),
        minor: new Counter(meter('minor')),
      };
    }
  }

  // ask returns the answer if its status is 2xx, otherwise null.
  ask(method, path, { token, body, amount = 0, key, text = false, phase = 'all', no = 0 }) {
    const headers = { 'Content-Type': 'application/json' };
    if (token) {
      headers.Authorization = `Bearer ${token}`;
    }
    if (amount > 0) {
      headers['Idempotency-Key'] = key || `${run}-${exec.vu.idInTest}-${exec.vu.iterationInInstance}-${this.name}`;
    }
    const response = http.request(method, base + path, body ? JSON.stringify(body) : null, {
      headers,
      tags: { name: `${method} ${path.split('?')[0]}` },
      responseType: text ? 'text' : 'none',
    });
    return this.count(response, amount, phase, no) ? response : null;
  }

  count(response, amount, phase, no) {
    const { took, refused, failed, unknown, minor } = this.meters[phase];
    const { status, timings } = response;
    if ((status >= 200 && status < 300) || (no > 0 && status === no)) {
      took.add(timings.duration);
      minor.add(amount);
      return true;
    }
    if (amount > 0 && status === 0) {
      unknown.add(1);
    } else if (status === 429 || status === 503) {
      refused.add(timings.duration);
    } else {
      failed.add(1);
      if (warnings++ < 3) {
        console.warn(`${this.name}: ${status} ${response.error}`);
      }
    }
    return false;
  }
}

// The steps of a user. token is an access token.

// signIn returns the session, or null.
export function signIn(step, user, phase = 'all') {
  const body = { login: user.email, password: user.password };
  const response = step.ask('POST', '/v1/auth/login', { body, text: true, phase });
  return response ? { ...response.json(), at: Date.now() } : null;
}

export function pay(step, from, to, amount, options = {}) {
  const body = { to: `@${to.handle}`, amount, currency: 'USD' };
  return step.ask('POST', '/v1/transfers', { token: from.access_token, body, amount, ...options });
}

export function payIn(step, token, amount, options = {}) {
  return step.ask('POST', '/v1/deposits', { token, body: { amount, currency: 'USD' }, amount, ...options });
}

export const any = (n) => Math.floor(Math.random() * n);

// anyone returns a random user other than the one with this number.
export function anyone(except = -1) {
  if (except < 0) {
    return users[any(users.length)];
  }
  return users[(except + 1 + any(users.length - 1)) % users.length];
}

// phaseAt returns the current phase by the time since the scenario began. phases are
// [name, seconds] in their order; the last one has no end.
export function phaseAt(phases) {
  let left = (Date.now() - exec.scenario.startTime) / 1000;
  for (const [name, length] of phases) {
    if (left < length) {
      return name;
    }
    left -= length;
  }
  return phases[phases.length - 1][0];
}

// report returns the handleSummary of a scenario: all metrics and the phases, for the runner.
export function report(phases) {
  return (data) => ({ [__ENV.RESULT_FILE]: JSON.stringify({ phases, metrics: data.metrics }) });
}
