// Transfers as fast as so many users can, in turns to anybody and to one and the
// same receiver: a ledger that locks its accounts one by one is slow where all
// pay the same shop.
import { Step, any, anyone, common, pay, phaseAt, report, seconds, users } from './lib.js';

const part = seconds(__ENV.DURATION || '40s') / 4;
const phases = [['uniform', part], ['hot', part], ['uniform', part], ['hot', part]];

const transfer = new Step('transfer', ['uniform', 'hot']);

export const options = {
  ...common,
  scenarios: {
    transfers: { executor: 'constant-vus', vus: Number(__ENV.VUS || 50), duration: `${4 * part}s` },
  },
};

export default function () {
  const phase = phaseAt(phases);
  const from = 1 + any(users.length - 1);
  pay(transfer, users[from], phase === 'hot' ? users[0] : anyone(from), 1, { phase });
}

export const handleSummary = report(phases);
