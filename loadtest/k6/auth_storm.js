// Payments at a constant rate: first alone, then beside wrong passwords that come many
// times faster than they can be hashed, then alone again. The storm comes from many
// addresses (k6 --local-ips) and tries all users, so that a limit per account or per address
// alone does not stop it.
import { Step, anyone, any, common, pay, phaseAt, report, seconds, users } from './lib.js';

const storm = seconds(__ENV.DURATION || '60s');
const quiet = Math.max(5, Math.round(storm / 2));
const phases = [['quiet', quiet], ['storm', storm], ['after', quiet]];

const transfer = new Step('transfer', ['quiet', 'storm', 'after']);
const wrong = new Step('wrong_password', ['storm']);

export const options = {
  ...common,
  scenarios: {
    payments: {
      executor: 'constant-arrival-rate',
      exec: 'payment',
      rate: Number(__ENV.PAYMENTS || 200),
      timeUnit: '1s',
      duration: `${quiet + storm + quiet}s`,
      preAllocatedVUs: 100,
      maxVUs: 200,
    },
    storm: {
      executor: 'constant-arrival-rate',
      exec: 'guess',
      rate: Number(__ENV.STORM_RATE),
      timeUnit: '1s',
      startTime: `${quiet}s`,
      duration: `${storm}s`,
      preAllocatedVUs: 200,
      maxVUs: 1000,
      gracefulStop: '10s',
    },
  },
};

export function payment() {
  const from = any(users.length);
  pay(transfer, users[from], anyone(from), 1, { phase: phaseAt(phases) });
}

// The expected answer to a wrong password is 401.
export function guess() {
  const body = { login: anyone().email, password: 'a wrong password' };
  wrong.ask('POST', '/v1/auth/login', { body, phase: 'storm', no: 401 });
}

export const handleSummary = report(phases);
