import { MegascaleError } from '@megascale/core';
import type { CliWorld } from '../world.js';
import { paint } from './colors.js';
import { Interrupted } from './shutdown-signals.js';
import { UsageError } from './usage-error.js';

/**
 * Writes what went wrong, for people to stderr or for programs (with --json) to stdout, and returns
 * the exit code of the program.
 */
export function reportError(error: unknown, json: boolean, world: CliWorld): number {
  if (error instanceof Interrupted) return error.exitCode;
  const { code, message, details } = describe(error);
  if (json) {
    world.stdout.write(`${JSON.stringify({ error: { code, message, details } })}\n`);
  } else {
    world.stderr.write(`${paint(world.stderr, 'red', `error ${code}:`)} ${message}\n`);
  }
  return error instanceof UsageError ? 2 : 1;
}

function describe(error: unknown): {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
} {
  if (MegascaleError.isInstance(error)) return error;
  if (error instanceof UsageError) return { code: error.code, message: error.message, details: {} };
  // Any other error is a bug of the program, and its report needs the stack.
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: 'ERR_INTERNAL', message, details: {} };
}
