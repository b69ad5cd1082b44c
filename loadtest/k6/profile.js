// A hundred users, each of whom signs in, reads the dashboard and the list, deposits,
// pays the one receiver, and waits for a second.
//
// Of two thresholds of a step the first is the minimum, the second the target. Deposits
// and transfers have to meet them separately.
import { check, sleep } from 'k6';
import { Step, anyone, common, pay, payIn, report, seconds, signIn, users } from './lib.js';

const hold = seconds(__ENV.DURATION || '60s');
const crowd = Number(__ENV.VUS || 100);
const ramp = 20;
// Milliseconds that the hash rate of the machine allows for a sign-in, and a fifth more.
const allowed = Number(__ENV.SIGNIN_ALLOWED || 2000);

const steps = {
  signin: new Step('signin'), summary: new Step('summary'), list: new Step('list'),
  deposit: new Step('deposit'), transfer: new Step('transfer'),
};

export const options = {
  ...common,
  scenarios: {
    profile: {
      executor: 'ramping-vus',
      startVUs: 0,
      stages: [
        { duration: `${ramp}s`, target: crowd }, { duration: `${hold}s`, target: crowd }, { duration: `${ramp}s`, target: 0 },
      ],
      gracefulRampDown: '30s',
    },
  },
  thresholds: {
    signin__all__took: allowed < 2000 ? [`p(99)<=${allowed}`, 'p(99)<2000'] : [`p(99)<=${allowed}`],
    summary__all__took: ['p(99)<200', 'p(99)<=100'],
    deposit__all__took: ['p(99)<500', 'p(99)<=100'],
    transfer__all__took: ['p(99)<500', 'p(99)<=100'],
    checks: ['rate==1'],
  },
};

export default function () {
  const session = signIn(steps.signin, anyone(0));
  check(session, { 'signed in': (s) => s !== null });
  if (session) {
    const token = session.access_token;
    const ok = (r) => r !== null;
    check(steps.summary.ask('GET', '/v1/summary', { token }), { 'saw the dashboard': ok });
    check(steps.list.ask('GET', '/v1/transfers', { token }), { 'saw the list': ok });
    check(payIn(steps.deposit, token, 100), { 'paid in': ok });
    check(pay(steps.transfer, session, users[0], 10), { paid: ok });
  }
  sleep(1);
}

export const handleSummary = report([['all', hold + 2 * ramp]]);
