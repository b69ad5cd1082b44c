// Transfers under closed load, in turns to random receivers and to a single one. A ledger that
// locks the accounts of each transfer separately is slow if all users pay the same receiver.
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
