import type { EmulatedLink } from '@megascale/core';
import type {
  AttentionChannels,
  AttentionEnd,
  ExpertChannels,
  ExpertEnd,
  PortDecorator,
} from '../../peers/channels.js';
import { PeerWait, type PeerWaitOptions } from '../../peers/peer-wait.js';
import { slotExpertRanks } from '../../peers/slot-views.js';
import { DelayedFrames, TimedFrames } from './delayed-frames.js';
import { DelayedReplies } from './delayed-replies.js';
import { checkEmulatedLink } from './link-model.js';
import { TimedMemory } from './send-times.js';

/** The system may wake a sleeper this much late. */
const wakingUs = 100;

/**
 * Gives one port's pairs the link of another place: receivers see each message when that link would
 * have brought it. The messages themselves stay as they are; `TimedMemory` carries the times.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming the field that no link can have.
 */
export function emulatedLink(link: EmulatedLink): PortDecorator {
  checkEmulatedLink(link);
  let timed: TimedMemory | undefined;
  const timesOf = (attentionRank: number) => {
    if (timed === undefined) throw new Error('The memory of an emulated link comes first.');
    return timed.timesOf(attentionRank);
  };
  return {
    memory: (memory, context) => (timed = new TimedMemory(memory, context)),

    attention(channels: AttentionChannels, end: AttentionEnd): AttentionChannels {
      const { rank: attentionRank, shape, buffer, layout } = end;
      const { clock } = end.options;
      const times = timesOf(attentionRank);
      const expertRanks = slotExpertRanks(buffer, layout);
      const common = { link, shape, clock, attentionRank, times, expertRanks };
      const replies = new DelayedReplies(channels.replies, common);
      const frames = channels.frames.map(
        (each, expertRank) =>
          new TimedFrames(each, (frame) => {
            times.setFrameSentUs(expertRank, frame.sequence, clock.nowUs());
            replies.expect(frame, expertRank);
          }),
      );
      return {
        frames,
        replies,
        createWait: (options) => new PunctualWait(options, () => replies.nextArrivalUs),
      };
    },

    expert(channels: ExpertChannels, end: ExpertEnd): ExpertChannels {
      const { rank: expertRank, shape, layout, attention } = end;
      const { clock } = end.options;
      const frames = channels.frames.flatMap((each, attentionRank) => {
        const peer = attention[attentionRank];
        if (peer === undefined) return [];
        const times = timesOf(attentionRank);
        const expertRanks = slotExpertRanks(peer.buffer, layout);
        const pair = { attentionRank, expertRank, peer, times, expertRanks };
        return [new DelayedFrames(each, { link, shape, clock, ...pair })];
      });
      const nextArrivalUs = () => {
        let nextUs = Infinity;
        for (const { arrivalUs } of frames) nextUs = Math.min(nextUs, arrivalUs);
        return nextUs;
      };
      return {
        frames,
        replies: {
          answer(attentionRank, microBatch, sequence) {
            timesOf(attentionRank).setReplySentUs(expertRank, microBatch, clock.nowUs());
            channels.replies.answer(attentionRank, microBatch, sequence);
          },
        },
        createWait: (options) => new PunctualWait(options, nextArrivalUs),
      };
    },
  };
}

/**
 * A wait that ends on the microsecond when a message arrives: it sleeps until shortly before, and
 * looks without pause from then on.
 */
class PunctualWait extends PeerWait {
  readonly #nextArrivalUs: () => number;

  constructor(options: PeerWaitOptions, nextArrivalUs: () => number) {
    // A message that is in memory is no news until it arrives.
    super({ ...options, lookout: undefined });
    this.#nextArrivalUs = nextArrivalUs;
  }

  override sleep(seen: number, untilUs: number): void {
    const nextUs = Math.min(untilUs, this.#nextArrivalUs());
    if (nextUs - this.nowUs > wakingUs) super.sleep(seen, nextUs - wakingUs);
  }
}
