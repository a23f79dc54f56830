import type { CoordinatorMessage } from '../protocol/messages.js';
import type { Inbox } from '../worker/thread-inbox.js';
import type { FlightRecorder } from './flight-recorder.js';

/** Answers 'recording-requested' on a data thread. */
export function answerRecording(
  message: CoordinatorMessage,
  recorder: FlightRecorder,
  inbox: Pick<Inbox, 'send'>,
): void {
  if (message.type !== 'recording-requested') return;
  inbox.send({ type: 'recording-taken', recording: recorder.read() });
}
