// A mixed load at a constant, low rate, to see what grows over time. Each virtual user is one
// user of Kizo, signs in once, and renews its session before the access token expires.
import exec from 'k6/execution';
import { Step, any, anyone, common, pay, payIn, phaseAt, report, seconds, signIn, users } from './lib.js';

const length = seconds(__ENV.DURATION || '2m');
const rate = Number(__ENV.RATE || 50); // rounds per second, of four or five requests

const start = Math.min(15, length / 4); // in which all users sign in, one after the other
const phases = [['start', start], ['steady', length - start]];

const step = (name) => new Step(name, ['start', 'steady']);
const steps = {
  signin: step('signin'), refresh: step('refresh'), summary: step('summary'), list: step('list'),
  deposit: step('deposit'), transfer: step('transfer'), withdrawal: step('withdrawal'),
};

export const options = {
  ...common,
  scenarios: {
    soak: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: `${length}s`,
      preAllocatedVUs: Math.min(users.length, rate),
      maxVUs: Math.min(users.length, 4 * rate),
    },
  },
};

let session = null; // of this virtual user

// token returns an access token that is valid for five more minutes, or null: access tokens are
// valid for 15.
function token(user, phase) {
  if (session === null) {
    session = signIn(steps.signin, user, phase);
  } else if (Date.now() - session.at > 10 * 60 * 1000) {
    const body = { refresh_token: session.refresh_token };
    const response = steps.refresh.ask('POST', '/v1/auth/refresh', { body, text: true, phase });
    session = response ? { ...response.json(), at: Date.now() } : null;
  }
  return session && session.access_token;
}

export default function () {
  const phase = phaseAt(phases);
  const number = (exec.vu.idInTest - 1) % users.length;
  const me = { access_token: token(users[number], phase) };
  if (me.access_token === null) {
    return;
  }
  steps.summary.ask('GET', '/v1/summary', { token: me.access_token, phase });
  pay(steps.transfer, me, anyone(number), 10, { phase });
  if (any(2) === 0) {
    payIn(steps.deposit, me.access_token, 15, { phase });
  } else {
    const body = { amount: 5, currency: 'USD' };
    steps.withdrawal.ask('POST', '/v1/withdrawals', { token: me.access_token, body, amount: 5, phase });
  }
  steps.list.ask('GET', '/v1/transfers', { token: me.access_token, phase });
}

export const handleSummary = report(phases);
