import type { ServerResponse } from 'node:http';
import { RequestError } from '@megascale/core';
import type { FastifyReply } from 'fastify';
import type { ErrorBody } from './error-response.js';

const headers = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  connection: 'keep-alive',
  // Tells reverse proxies (nginx and those that follow it) not to hold the stream back.
  'x-accel-buffering': 'no',
} as const;

export interface EventStreamOptions {
  readonly keepAliveMs: number;
  readonly stalledReaderMs: number;
}

/**
 * Server-sent events on one reply. The stream writes the head with the first event, so that an
 * earlier error can be answered with its own status. A long wait writes the head too, followed by a
 * comment that keeps the connection alive.
 */
export class EventStream {
  readonly #reply: FastifyReply;
  readonly #response: ServerResponse;
  readonly #stalledReaderMs: number;
  readonly #keepAlive: NodeJS.Timeout;
  #drained: Promise<void> | undefined;

  constructor(reply: FastifyReply, options: EventStreamOptions) {
    this.#reply = reply;
    this.#response = reply.raw;
    this.#stalledReaderMs = options.stalledReaderMs;
    this.#keepAlive = setInterval(() => {
      if (this.#drained === undefined) this.#write(': keep-alive\n\n');
    }, options.keepAliveMs);
  }

  get started(): boolean {
    return this.#response.headersSent;
  }

  /**
   * Resolves when the client took the event, or when its connection is gone. Rejects with
   * 'ERR_ABORTED' when the client has stopped reading.
   */
  async send(data: unknown): Promise<void> {
    this.#write(`data: ${JSON.stringify(data)}\n\n`);
    this.#keepAlive.refresh();
    await this.#drained;
  }

  /** Ends a stream that went well, with [DONE]. */
  finish(): void {
    this.#write('data: [DONE]\n\n');
    this.close();
  }

  /** Ends a stream that broke: it sends an error event and no [DONE]. */
  fail(body: ErrorBody): void {
    this.#write(`data: ${JSON.stringify(body)}\n\n`);
    this.close();
  }

  /** Ends the response if it has begun. May be called more than once. */
  close(): void {
    clearInterval(this.#keepAlive);
    if (this.started) this.#response.end();
  }

  #write(text: string): void {
    if (this.#response.destroyed || this.#response.writableEnded) return;
    if (!this.started) {
      this.#reply.hijack();
      const kept = this.#reply.getHeaders() as Record<string, string>;
      this.#response.writeHead(200, { ...kept, ...headers });
    }
    if (this.#response.write(text) || this.#drained !== undefined) return;
    this.#drained = this.#waitForDrain();
    // The next `send` sees the rejection; after a keep-alive comment there may be no next one.
    this.#drained.catch(() => undefined);
  }

  async #waitForDrain(): Promise<void> {
    const drained = await drainedWithin(this.#response, this.#stalledReaderMs);
    this.#drained = undefined;
    if (drained) return;
    this.#response.destroy();
    throw new RequestError('ERR_ABORTED', {
      message: `The client read nothing for ${this.#stalledReaderMs} ms; its request was aborted.`,
    });
  }
}

/**
 * Resolves to true when there is room again or the client is gone, to false after the time limit.
 */
function drainedWithin(response: ServerResponse, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (result: boolean) => () => {
      clearTimeout(timer);
      response.off('drain', onDrain);
      response.off('close', onDrain);
      resolve(result);
    };
    const onDrain = settle(true);
    const timer = setTimeout(settle(false), limitMs);
    response.once('drain', onDrain);
    response.once('close', onDrain);
  });
}
