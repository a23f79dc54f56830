import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { docBlocks, repository, type DocBlock } from '../support/doc-blocks.js';

/**
 * Every code block of every page, run as a reader would: programs by node after their types were
 * checked, contract suites by vitest, shell commands by bash on the built-in model. Blocks of
 * `text` are output and drawings; `not-run:` in an info string says why a block is left out.
 */
const blocks = docBlocks();
const timeLimitMs = 300_000;
const inLanguage = (...languages: string[]): DocBlock[] =>
  blocks.filter(({ language, notRun }) => languages.includes(language) && notRun === undefined);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'megascale-docs-'));
  for (const name of ['models', 'examples', 'packages', 'node_modules', 'package.json']) {
    symlinkSync(join(repository, name), join(folder, name));
  }
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the code of the pages', () => {
  it('is fenced in a language that this test knows', () => {
    const known = ['ts', 'js', 'sh', 'json', 'text', 'yaml', 'ini'];
    expect(blocks.filter(({ language }) => !known.includes(language))).toEqual([]);
    expect(blocks.length).toBeGreaterThan(30);
  });

  it('has sound types', { timeout: timeLimitMs }, () => {
    expect(typeErrorsOf(blocks.filter(({ language }) => language === 'ts'))).toEqual([]);
  });

  it.each(inLanguage('ts', 'js'))('runs: $place', { timeout: timeLimitMs }, async (block) => {
    const isSuite = block.code.includes('@megascale/core/testing');
    expect(await (isSuite ? runSuite(block) : runProgram(block))).toMatchObject({ code: 0 });
  });

  it.each(inLanguage('sh'))('runs: $place', { timeout: timeLimitMs }, async (block) => {
    expect(await runShell(block)).toMatchObject({ code: 0 });
  });

  it.each(inLanguage('json'))('parses: $place', ({ code }) => {
    expect(() => JSON.parse(code) as unknown).not.toThrow();
  });
});

/** `place: message` of everything the compiler says about these blocks, each a module. */
function typeErrorsOf(programs: readonly DocBlock[]): readonly string[] {
  const configFile = join(repository, 'tsconfig.json');
  const config = ts.readConfigFile(configFile, (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, repository);
  const files = new Map(
    programs.map((block, index) => [join(repository, `doc-block-${String(index)}.mts`), block]),
  );
  const host = ts.createCompilerHost(options);
  const getSourceFile = host.getSourceFile.bind(host);
  const fileExists = host.fileExists.bind(host);
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.getSourceFile = (path, version, ...rest) => {
    const block = files.get(path);
    if (block === undefined) return getSourceFile(path, version, ...rest);
    return ts.createSourceFile(path, `${block.code}\nexport {};`, version);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return [...files].flatMap(([path, { place }]) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(path))
      .map(({ messageText }) => `${place}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`),
  );
}

/** As JavaScript, in a folder from which the packages are found. */
function runProgram({ code, place, language }: DocBlock) {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const file = join(folder, `${fileName(place)}.mjs`);
  writeFileSync(file, language === 'js' ? code : outputText);
  return run(process.execPath, [file]);
}

/** Beside the packages' own tests, because vitest takes no tests from elsewhere. */
async function runSuite({ code, place }: DocBlock) {
  const tests = join(repository, 'packages', 'cli', 'build', 'doc-blocks');
  mkdirSync(tests, { recursive: true });
  const file = join(tests, `${fileName(place)}.test.ts`);
  writeFileSync(file, code);
  const config = join(tests, 'vitest.config.mjs');
  writeFileSync(config, 'export default {};\n');
  const vitest = join(repository, 'node_modules', 'vitest', 'vitest.mjs');
  try {
    return await run(process.execPath, [vitest, 'run', '--root', tests, '--config', config]);
  } finally {
    rmSync(file);
  }
}

/**
 * With the words MODEL, OUT and DIR replaced by folders, port 8000 by a free one, and `megascale`
 * (also after `npx`) by the built command; a `serve` goes on beside the lines after it.
 */
async function runShell({ code, place }: DocBlock) {
  const port = String(await freePort());
  const own = join(folder, fileName(place));
  const commands = code
    .replaceAll(/\bMODEL\b/g, join(repository, 'models', 'dictionary'))
    .replaceAll(/\b(OUT|DIR)\b/g, (name) => join(own, name))
    .replaceAll(/(127\.0\.0\.1|localhost):8000/g, `127.0.0.1:${port}`);
  const commandLine = join(repository, 'packages/cli/bin/megascale.js');
  const script = `
set -euo pipefail
mkdir -p '${own}'
command_line() { '${process.execPath}' '${commandLine}' "$@"; }
megascale() {
  if [ "$1" != serve ]; then command_line "$@"; return; fi
  # Not by the function, whose subshell would receive the signal instead of the server.
  '${process.execPath}' '${commandLine}' "$@" --port ${port} & servers+=($!)
  for _ in $(seq 600); do
    curl -sf http://127.0.0.1:${port}/health >/dev/null && return
    kill -0 "\${servers[-1]}" || return 1
    sleep 0.1
  done
  return 1
}
npx() { if [ "$1" = megascale ]; then shift; megascale "$@"; else command npx --no-install "$@"; fi; }
servers=()
stop() { for server in "\${servers[@]}"; do kill "$server" && wait "$server" || true; done; }
trap stop EXIT
${commands}`;
  return run('bash', ['-c', script]);
}

async function run(program: string, words: readonly string[]) {
  const child = spawn(program, words, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { code, stdout: stdout.slice(-4000), stderr: stderr.slice(-4000) };
}

function fileName(place: string): string {
  return place.replaceAll(/[^\w]+/g, '-');
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
