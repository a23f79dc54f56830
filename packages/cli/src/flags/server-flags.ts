import type { Command } from 'commander';
import type { CliWorld } from '../world.js';
import { UsageError } from '../output/usage-error.js';

export interface ServerFlags {
  readonly url: string;
  readonly apiKey?: string;
  readonly json?: boolean;
}

/** For commands that ask a running server. */
export function addServerFlags(command: Command): Command {
  return command
    .option('--url <url>', 'the server', 'http://127.0.0.1:8000')
    .option('--api-key <key>', 'its key (default: MEGASCALE_API_KEY)');
}

/** @throws UsageError when the server cannot be reached or refuses. */
export async function askServer<Answer>(
  path: string,
  { url, apiKey }: ServerFlags,
  world: Pick<CliWorld, 'readEnvironment'>,
): Promise<Answer> {
  const key = apiKey ?? world.readEnvironment().apiKey;
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const answer = await ask(path, url, headers);
  const body = (await answer.json().catch(() => undefined)) as
    (Answer & { readonly error?: { readonly message?: string } }) | undefined;
  if (answer.ok && body !== undefined) return body;
  throw new UsageError(
    body?.error?.message ?? `The server at ${url} answered with status ${answer.status}.`,
  );
}

async function ask(path: string, url: string, headers: Record<string, string>): Promise<Response> {
  try {
    return await fetch(new URL(path, url), { headers });
  } catch (cause) {
    throw new UsageError(
      `No server answers at ${url}: ${reasonOf(cause)}. Start one, or name another with --url.`,
    );
  }
}

function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error ? (cause.cause ?? cause) : cause;
  return inner instanceof Error ? inner.message : String(inner);
}
