import { InvalidArgumentError } from 'commander';
import type { Deployment } from '../compose.js';
import { realNumber, wholeNumber } from './number-flags.js';

type Rebalance = NonNullable<Deployment['rebalance']>;

/** What each part of the flag sets. */
const parts: Readonly<Record<string, (text: string) => Rebalance>> = {
  interval: (text) => ({ intervalMs: Math.ceil(realNumber(0.001, 86_400)(text) * 1000) }),
  margin: (text) => ({ margin: realNumber(0, 1)(text) }),
  budgetMib: (text) => ({ moveBytesMax: Math.ceil(realNumber(0.001, 2 ** 20)(text) * 2 ** 20) }),
  spare: (text) => ({ spareExperts: wholeNumber(0, 4096)(text) }),
  halfLife: (text) => ({ halfLifeMs: Math.ceil(realNumber(0.001, 86_400)(text) * 1000) }),
};

/** A commander parser: 'interval=30,spare=2' → { intervalMs: 30 000, spareExperts: 2 }. Times are in seconds. */
export function rebalanceFlag(text: string): Rebalance {
  const seen = new Set<string>();
  return text.split(',').reduce<Rebalance>((settings, part) => {
    const [name = '', value, ...more] = part.split('=').map((side) => side.trim());
    const parse = Object.hasOwn(parts, name) ? parts[name] : undefined;
    if (parse === undefined || value === undefined || more.length > 0) {
      throw new InvalidArgumentError(
        `'${part}' is none of ${Object.keys(parts).join(', ')} with a value: interval=30,margin=0.05,budgetMib=1024,spare=1.`,
      );
    }
    if (seen.has(name)) throw new InvalidArgumentError(`${name} is given twice.`);
    seen.add(name);
    return { ...settings, ...parse(value) };
  }, {});
}
