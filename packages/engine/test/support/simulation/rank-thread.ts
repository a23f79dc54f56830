import { parentPort } from 'node:worker_threads';
import { playMoves, type MovesEnd } from './moves.js';
import { playRank, type Meeting, type RankEnd, type RankStart, type WorldStart } from './rank.js';

export type Addresses = Awaited<ReturnType<Meeting['exchange']>>;

/** Thread → main. */
export type FromRank =
  | { readonly type: 'idle' | 'opened' }
  | { readonly type: 'reachable'; readonly address: string }
  | { readonly type: 'ended'; readonly end: RankEnd }
  | { readonly type: 'moved'; readonly end: MovesEnd };

/** Main → thread. */
export type ToRank =
  | { readonly type: 'play'; readonly start: RankStart }
  | { readonly type: 'move'; readonly start: WorldStart }
  | { readonly type: 'addresses'; readonly addresses: Addresses };

let addressesKnown: (addresses: Addresses) => void = () => undefined;

function say(message: FromRank): void {
  parentPort?.postMessage(message);
}

const meeting: Meeting = {
  exchange: (address) =>
    new Promise((resolve) => {
      addressesKnown = resolve;
      say({ type: 'reachable', address });
    }),
  opened: () => {
    say({ type: 'opened' });
  },
};

parentPort?.on('message', (message: ToRank) => {
  if (message.type === 'addresses') addressesKnown(message.addresses);
  else if (message.type === 'move') {
    meeting.opened();
    void playMoves(message.start).then((end) => {
      say({ type: 'moved', end });
    });
  } else {
    void playRank(message.start, meeting).then((end) => {
      say({ type: 'ended', end });
    });
  }
});
say({ type: 'idle' });
