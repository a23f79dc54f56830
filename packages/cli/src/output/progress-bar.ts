import cliProgress, { type Options } from 'cli-progress';
import type { CliWorld } from '../world.js';
import { TerminalStream } from './terminal-stream.js';

export interface ProgressBar {
  /** Shows how much is done; `phase` replaces the words before the bar. */
  update(done: number, total: number, phase?: string): void;
  /** Removes the bar. */
  stop(): void;
}

interface Progress {
  readonly total: number;
  readonly value: number;
}

const width = 24;

/**
 * Shows a bar on stderr behind words for what goes on, with the seconds it has taken. Returns
 * undefined where stderr is no terminal: programs and log files have no use for it.
 */
export function progressBar(phase: string, { stderr, clock }: CliWorld): ProgressBar | undefined {
  if (stderr.isTTY !== true) return undefined;
  const beganUs = clock.nowUs();
  const format = (_options: Options, progress: Progress, payload: { phase: string }): string => {
    const seconds = ((clock.nowUs() - beganUs) / 1e6).toFixed(0);
    return `${payload.phase} ${barText(progress)}${seconds} s`;
  };
  const stream = new TerminalStream(stderr);
  const bar = new cliProgress.SingleBar({
    format,
    stream,
    clearOnComplete: true,
    hideCursor: true,
    fps: 5,
  });
  // A total of zero: the work has begun, and nothing is known of its size.
  bar.start(0, 0, { phase });
  return {
    update(done, total, newPhase) {
      bar.setTotal(total);
      bar.update(done, newPhase === undefined ? {} : { phase: newPhase });
    },
    stop: () => {
      bar.stop();
    },
  };
}

function barText({ value, total }: Progress): string {
  if (total === 0) return '… ';
  const share = Math.min(1, value / total);
  const full = Math.round(share * width);
  return `${'█'.repeat(full)}${'░'.repeat(width - full)} ${(share * 100).toFixed(0)} %, `;
}
