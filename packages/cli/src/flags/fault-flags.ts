import type { Straggler, WorkerFailure } from '@megascale/planner';
import { InvalidArgumentError } from 'commander';

const faultsMax = 1000;
const worker = '(attention|expert):(\\d+)@(\\d+(?:\\.\\d+)?)\\+(\\d+(?:\\.\\d+)?)';

/**
 * A commander parser: 'attention:0@30+10' is lost at 30 s and back 10 s later; several with commas
 * between.
 */
export function failuresFlag(text: string): readonly WorkerFailure[] {
  return each(text, new RegExp(`^${worker}$`), 'attention:0@30+10,expert:1@60+5').map(
    ([, role, rank, at, recovery]) => ({
      role: roleOf(role),
      rank: Number(rank),
      atS: Number(at),
      recoveryS: Number(recovery),
    }),
  );
}

/** A commander parser: 'expert:1@20+30x2.5' takes 2.5 times as long from 20 s on for 30 s. */
export function stragglersFlag(text: string): readonly Straggler[] {
  const pattern = new RegExp(`^${worker}x(\\d+(?:\\.\\d+)?)$`);
  return each(text, pattern, 'expert:1@20+30x2.5').map(([, role, rank, from, lasts, factor]) => ({
    role: roleOf(role),
    rank: Number(rank),
    fromS: Number(from),
    forS: Number(lasts),
    factor: Number(factor),
  }));
}

function each(text: string, pattern: RegExp, example: string): RegExpExecArray[] {
  const parts = text.split(',');
  if (parts.length > faultsMax) throw new InvalidArgumentError(`At most ${faultsMax}.`);
  return parts.map((part) => {
    const match = pattern.exec(part.trim());
    if (match !== null) return match;
    throw new InvalidArgumentError(`'${part.slice(0, 80)}' is not of the form ${example}.`);
  });
}

function roleOf(role: string | undefined): 'attention' | 'expert' {
  return role === 'attention' ? role : 'expert';
}
