import type { AttentionPort } from '@megascale/core';
import type { Step } from '@megascale/scheduler';
import { describe, expect, it } from 'vitest';
import { PlacementAdoption } from '../../../src/placement/placement-adoption.js';

const changed = (epoch: number) => ({
  type: 'placement-changed' as const,
  epoch,
  placement: [[[0]]],
});
const step = () => ({}) as Step;

function adoption() {
  const log: string[] = [];
  const port = { adoptPlacement: ({ epoch }: { epoch: number }) => log.push(`adopt ${epoch}`) };
  const inbox = {
    send: (message: { type: string }) => {
      log.push(JSON.stringify(message));
    },
  };
  return { log, adoption: new PlacementAdoption(port as unknown as AttentionPort, inbox) };
}

const answer = (epoch: number) => JSON.stringify({ type: 'placement-adopted', epoch });

describe('an attention worker that changes over', () => {
  it('has left the old epoch when its first step in the new one has ended, not before', () => {
    const { log, adoption: own } = adoption();
    const [before, first, later] = [step(), step(), step()];
    own.planned(before);
    own.receive(changed(3));
    own.planned(first);
    expect(log).toEqual(['adopt 3']);
    own.ended(before);
    expect(log).toEqual(['adopt 3']);
    own.planned(later);
    own.ended(first);
    expect(log).toEqual(['adopt 3', answer(3)]);
    own.ended(later);
    own.idle();
    expect(log).toEqual(['adopt 3', answer(3)]);
  });

  it('answers at once when it has nothing to do, also once its last step has ended', () => {
    const { log, adoption: own } = adoption();
    own.idle();
    own.receive(changed(1));
    own.idle();
    expect(log).toEqual(['adopt 1', answer(1)]);
    const last = step();
    own.planned(last);
    own.receive(changed(2));
    own.ended(last);
    own.idle();
    expect(log.slice(2)).toEqual(['adopt 2', answer(2)]);
  });
});
