import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { BackendError } from '@megascale/core';

const require = createRequire(import.meta.url);
const platformPackage = `@megascale/m2n-${process.platform}-${process.arch}`;
const localBuild = fileURLToPath(new URL('../build/Release/m2n.node', import.meta.url));

let addon: unknown;

/**
 * The native addon of this package: the prebuilt one of the platform package, else the local build.
 * Loaded on the first call, never by importing this package, and then kept.
 *
 * @throws BackendError `ERR_NATIVE_LOAD`; the message lists every place tried and what went wrong
 * there.
 */
export function loadNative(): unknown {
  addon ??= loadFirst([platformPackage, localBuild]);
  return addon;
}

/** The first of `candidates` that loads. Exported for the test. */
export function loadFirst(candidates: readonly string[]): unknown {
  const failures: { readonly path: string; readonly reason: string }[] = [];
  for (const path of candidates) {
    try {
      return require(path) as unknown;
    } catch (error) {
      failures.push({ path, reason: firstLine(error) });
    }
  }
  throw new BackendError('ERR_NATIVE_LOAD', {
    message:
      `No native addon of @megascale/m2n loads on ${process.platform}-${process.arch}:\n` +
      failures.map(({ path, reason }) => `  ${path}: ${reason}\n`).join('') +
      `Install ${platformPackage} (it comes with @megascale/m2n unless optional dependencies are ` +
      `left out), or build it in a checkout with \`npm run build:native\`.`,
    details: { failures, nodeVersion: process.version },
  });
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? message;
}
