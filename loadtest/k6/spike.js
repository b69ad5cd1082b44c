// Payments at a constant rate, then at ten times that rate for ten seconds, then at the constant
// rate again: the effect of the spike on the payments during it and after it.
import { Step, any, anyone, common, pay, report, seconds, users } from './lib.js';

const calm = seconds(__ENV.DURATION || '40s') / 2;
const rate = Number(__ENV.PAYMENTS || 100);
const phases = [['before', calm], ['spike', 10], ['after', calm]];

const transfer = new Step('transfer', ['before', 'spike', 'after']);

const part = (multiple, start, length) => ({
  executor: 'constant-arrival-rate',
  rate: rate * multiple,
  timeUnit: '1s',
  startTime: `${start}s`,
  duration: `${length}s`,
  preAllocatedVUs: 20 * multiple,
  maxVUs: 50 * multiple,
  gracefulStop: '10s',
});

export const options = {
  ...common,
  scenarios: {
    before: { ...part(1, 0, calm), env: { PHASE: 'before' } },
    spike: { ...part(10, calm, 10), env: { PHASE: 'spike' } },
    after: { ...part(1, calm + 10, calm), env: { PHASE: 'after' } },
  },
};

export default function () {
  const from = any(users.length);
  pay(transfer, users[from], anyone(from), 1, { phase: __ENV.PHASE });
}

export const handleSummary = report(phases);
