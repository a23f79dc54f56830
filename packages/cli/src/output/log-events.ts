import type { LlmEvent } from '@megascale/engine';
import type { Logger } from 'pino';

/** Makes a receiver that writes the events of a model to a log. */
export function logEvents(logger: Logger): (event: LlmEvent) => void {
  return (event) => {
    if (event.type === 'worker-lost') logger.error({ err: event.error }, 'worker lost');
    if (event.type === 'policy-failed') logger.error({ err: event.error }, 'policy failed');
    if (event.type === 'experts-moved') logger.info(event.move, 'experts moved');
    if (event.type === 'experts-not-moved') logger.warn({ err: event.error }, 'experts not moved');
    if (event.type === 'workers-starting') logger.info(event, 'workers starting');
    if (event.type === 'worker-ready') logger.info(event, 'worker ready');
  };
}
