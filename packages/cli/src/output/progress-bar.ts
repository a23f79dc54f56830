import cliProgress from 'cli-progress';
import type { CliWorld } from '../world.js';

export interface ProgressBar {
  update(done: number, total: number): void;
  stop(): void;
}

/** A bar on stderr, behind a word for what is going on. Only people watch one. */
export function progressBar(doing: string, { stderr }: CliWorld): ProgressBar | undefined {
  if (stderr.isTTY !== true) return undefined;
  const bar = new cliProgress.SingleBar(
    { format: `${doing} {bar} {percentage} %`, stream: process.stderr },
    cliProgress.Presets.shades_classic,
  );
  bar.start(1, 0);
  return {
    update(done, total) {
      bar.setTotal(total);
      bar.update(done);
    },
    stop: () => {
      bar.stop();
    },
  };
}
