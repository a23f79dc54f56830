import type { LanguageModel, LlmEvent } from '@megascale/engine';
import type { Logger } from 'pino';
import type { Deployment } from '../compose.js';
import type { CliWorld } from '../world.js';
import { logEvents } from './log-events.js';
import { progressBar, type ProgressBar } from './progress-bar.js';

/**
 * Loads a model and shows how far it is: a progress bar on a terminal, log lines elsewhere. After
 * the load, what happens to the workers goes to the log.
 */
export async function loadWithProgress(
  directory: string,
  deployment: Deployment,
  { world, logger }: { readonly world: CliWorld; readonly logger: Logger },
): Promise<LanguageModel> {
  const bar = progressBar(`Reading ${directory}`, world);
  const log = logEvents(logger);
  let loading = true;
  try {
    return await world.loadModel(directory, deployment, (event) => {
      log(event);
      if (loading && bar !== undefined) showEvent(bar, event);
    });
  } finally {
    loading = false;
    bar?.stop();
  }
}

function showEvent(bar: ProgressBar, event: LlmEvent): void {
  if (event.type === 'workers-starting') {
    const { total, weightBytes } = event;
    const workers = total === 1 ? '1 worker' : `${total} workers`;
    bar.update(0, total, `Loading ${(weightBytes / 2 ** 20).toFixed(0)} MiB into ${workers}`);
  } else if (event.type === 'worker-ready') {
    bar.update(event.ready, event.total);
  }
}
