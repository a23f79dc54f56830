import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BackendError } from '../errors.js';

/**
 * Makes the function that loads the native addon of `@megascale/<name>`: the prebuilt addon of the
 * platform package (`@megascale/<name>-<platform>-<architecture>`) if it is installed, else the
 * local build (`build/Release` of the package). The function loads on its first call, keeps the
 * addon, and throws BackendError `ERR_NATIVE_LOAD` when no place serves; the message lists every
 * place tried and what went wrong there.
 *
 * @param name Name of the package without its scope, for example `kernels-cpu`.
 * @param moduleUrl `import.meta.url` of a module of that package, in `src` or in `dist`.
 */
export function createNativeLoader(name: string, moduleUrl: string): () => unknown {
  const platformPackage = `@megascale/${name}-${process.platform}-${process.arch}`;
  let addon: unknown;
  return () => {
    addon ??= loadFirst(name, moduleUrl, [platformPackage, localBuild(name, moduleUrl)]);
    return addon;
  };
}

/** `build/Release/<name>.node` of the package that the module belongs to. */
function localBuild(name: string, moduleUrl: string): string {
  const file = `${name.replaceAll('-', '_')}.node`;
  let folder = dirname(fileURLToPath(moduleUrl));
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) {
    folder = dirname(folder);
  }
  return join(folder, 'build', 'Release', file);
}

/** Resolves packages from where the module is, because core does not depend on them. */
function loadFirst(name: string, moduleUrl: string, candidates: readonly string[]): unknown {
  const require = createRequire(moduleUrl);
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
      `No native addon of @megascale/${name} loads on ${process.platform}-${process.arch}:\n` +
      failures.map(({ path, reason }) => `  ${path}: ${reason}\n`).join('') +
      `Install ${candidates[0] ?? name} (it comes with @megascale/${name} unless optional ` +
      `dependencies are left out), or build it in a checkout with \`npm run build:native\`.`,
    details: { failures, nodeVersion: process.version },
  });
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? message;
}
