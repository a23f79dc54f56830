import {
  expectWell,
  expertCount,
  optionsFor,
  serving,
  type RunTeam,
  type TransportTest,
} from './transport-case.js';
import type { TeamPlan } from './transport-team.js';

export function slotTests(test: TransportTest, run: RunTeam): void {
  const begin = { type: 'begin-step', microBatches: [0] } as const;
  const dispatch = { type: 'dispatch', layer: 0, microBatch: 0, tokens: 4 } as const;
  const combine = { type: 'combine', microBatch: 0 } as const;
  const release = { type: 'release', microBatch: 0 } as const;
  const next = { ...dispatch, layer: 1 } as const;
  const throws = 'ERR_SLOT_BUSY';

  test('a slot in flight refuses, and is not written', async () => {
    const actions = [
      begin,
      dispatch,
      { ...next, throws },
      { ...release, throws },
      combine,
      { ...combine, throws },
      { ...next, throws },
      release,
      { ...release, throws },
      next,
      combine,
      release,
      { type: 'step', tokens: [2, 3] },
    ] as const;
    const options = optionsFor(1, 2);
    expectWell(await run({ options, attention: [actions], expert: serving(2) }));
  });

  test('what does not fit is refused before anything is sent', async () => {
    const { tokensPerSlotMax, slotCount } = optionsFor(1, 2);
    const overflow = 'ERR_SLOT_OVERFLOW';
    const invalid = 'ERR_FRAME_INVALID';
    const actions = [
      { ...dispatch, throws: invalid },
      { type: 'begin-step', microBatches: [], throws: invalid },
      { type: 'begin-step', microBatches: [1, 0], throws: invalid },
      { type: 'begin-step', microBatches: [0, slotCount], throws: invalid },
      begin,
      { ...dispatch, tokens: tokensPerSlotMax + 1, throws: overflow },
      { ...dispatch, tokens: -1, throws: overflow },
      { ...dispatch, tokens: 0.5, throws: overflow },
      { ...dispatch, microBatch: slotCount, throws: overflow },
      { ...dispatch, experts: [0, expertCount], throws: invalid },
      { ...dispatch, experts: [0, -2], throws: invalid },
      { ...dispatch, microBatch: 1, throws: invalid },
      { ...next, throws: invalid },
      dispatch,
      combine,
      release,
      next,
      combine,
      release,
    ] as const;
    const options = optionsFor(1, 2);
    expectWell(await run({ options, attention: [actions], expert: serving(2) }));
  });

  test('close is idempotent, and a closed port answers no call', async () => {
    const closed = 'ERR_PEER_CLOSED';
    const close = { type: 'close' } as const;
    const attention = [
      [close, close, { ...begin, throws: closed }, { type: 'park', throws: closed }],
    ];
    const expert = [
      [{ type: 'receive' }, close, close, { type: 'receive', throws: closed }],
    ] as const;
    const options = optionsFor(1, 1);
    expectWell(await run({ options, attention: attention as TeamPlan['attention'], expert }));
  });

  test('receive and reply take turns', async () => {
    // Waits for an answer that does not come, so that it is here until the expert rank has done its
    // part.
    const other = { ...dispatch, microBatch: 1, experts: [0, 1] } as const;
    const attention = [
      [
        { ...begin, microBatches: [0, 1] },
        { ...dispatch, experts: [0, 1] },
        other,
        { ...combine, microBatch: 1, throws: 'ERR_PEER_CLOSED' },
      ],
    ] as const;
    const expert = [
      [
        { type: 'receive' },
        { type: 'receive', throws },
        { type: 'reply' },
        { type: 'reply', throws },
      ],
    ] as const;
    expectWell(await run({ options: optionsFor(1, 1), attention, expert }), '', 'unanswered');
  });
}
