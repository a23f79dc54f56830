import type { RandomStream } from '../random-stream.js';
import type { FleetInstance } from './fleet-instance.js';
import type { FleetRouter } from './fleet-run.js';

/** Brings those it looks at up to date. One that is down is taken only where all drawn are. */
export function fleetRouter(
  wanted: FleetRouter = { type: 'choices', count: 2 },
  instances: readonly FleetInstance[],
  random: RandomStream,
): (atS: number) => FleetInstance {
  let turn = 0;
  const at = (index: number): FleetInstance => instances[index] as FleetInstance;
  const { length } = instances;
  if (wanted.type === 'round-robin') {
    return () => {
      turn = turn + 1 < length ? turn + 1 : 0;
      return at(turn);
    };
  }
  const { count } = wanted;
  return (atS) => {
    let best: FleetInstance | undefined;
    let least = Infinity;
    for (let drawn = 0; drawn < count; drawn += 1) {
      const instance = at(Math.floor(random.fraction() * length));
      instance.settle(atS);
      const load = instance.nowS > atS ? instance.load + 1e6 : instance.load;
      if (load >= least) continue;
      least = load;
      best = instance;
    }
    return best ?? at(0);
  };
}
