import { existsSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { Availability } from '../compose.js';
import { paint } from '../output/colors.js';
import type { CliWorld } from '../world.js';

const nodeMinimum = [20, 19] as const;

interface Report {
  /** Under Bun, `version` is the version of Node.js that it imitates. */
  readonly node: {
    readonly version: string;
    readonly supported: boolean;
    readonly bun: string | undefined;
  };
  readonly platform: string;
  readonly cpu: { readonly model: string; readonly cores: number };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  readonly backends: readonly Availability[];
  readonly transports: readonly Availability[];
  readonly builtInModel:
    | { readonly available: true; readonly directory: string }
    | { readonly available: false; readonly reason: string };
}

export function doctorCommand(world: CliWorld): Command {
  return new Command('doctor')
    .description('Say what this machine can run, and why not the rest.')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExamples:\n  megascale doctor\n  megascale doctor --json')
    .action(async (flags: { readonly json?: boolean }) => {
      const report = await examine(world);
      world.stdout.write(
        flags.json === true ? `${JSON.stringify(report)}\n` : render(report, world),
      );
    });
}

async function examine(world: CliWorld): Promise<Report> {
  const { backends, transports } = await world.probePlugins();
  return {
    node: {
      version: process.version,
      supported: isSupported(process.versions.node),
      bun: process.versions.bun,
    },
    platform: `${process.platform} ${process.arch}`,
    cpu: { model: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() },
    memory: { totalBytes: memoryLimit(), freeBytes: freemem() },
    backends,
    transports,
    builtInModel: findBuiltInModel(dirname(fileURLToPath(import.meta.url))),
  };
}

function isSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > nodeMinimum[0] || (major === nodeMinimum[0] && minor >= nodeMinimum[1]);
}

/** Returns the bytes of memory this process may have: a container's limit where there is one. */
function memoryLimit(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

/** Looks for the built-in model, which the repository has and an installed package has not. */
function findBuiltInModel(start: string): Report['builtInModel'] {
  for (let folder = start; ; folder = dirname(folder)) {
    const directory = join(folder, 'models', 'dictionary');
    if (existsSync(join(directory, 'config.json'))) return { available: true, directory };
    if (folder === dirname(folder)) break;
  }
  return { available: false, reason: 'it comes with the repository, not with the packages' };
}

function render(report: Report, { stdout }: CliWorld): string {
  const { node, cpu, memory, builtInModel } = report;
  const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const lines: readonly (readonly [ok: boolean, name: string, text: string])[] = [
    [node.supported, 'Node.js', `${node.version}, needed is ${nodeMinimum.join('.')} or later`],
    ...(node.bun === undefined ? [] : [[true, 'Bun', `${node.bun}, in place of Node.js`] as const]),
    [true, 'platform', report.platform],
    [true, 'CPU', `${cpu.model}, ${cpu.cores} cores`],
    [true, 'memory', `${gibibytes(memory.totalBytes)}, ${gibibytes(memory.freeBytes)} free`],
    ...report.backends.map((one) => lineOf('backend', one)),
    ...report.transports.map((one) => lineOf('transport', one)),
    [
      builtInModel.available,
      'built-in model',
      builtInModel.available ? builtInModel.directory : builtInModel.reason,
    ],
  ];
  const width = Math.max(...lines.map(([, name]) => name.length));
  return lines
    .map(([ok, name, text]) => {
      const answer = ok ? paint(stdout, 'green', 'yes') : paint(stdout, 'red', 'no ');
      return `${answer}  ${name.padEnd(width)}  ${text}\n`;
    })
    .join('');
}

function lineOf(kind: string, one: Availability): readonly [boolean, string, string] {
  const name = `${kind} ${one.name}`;
  if (!one.available) return [false, name, one.reason];
  const variants = one.variants === undefined ? [] : [`kernels: ${one.variants.join(', ')}`];
  const facts = [one.device, ...variants].filter((fact) => fact !== undefined);
  return [true, name, facts.length === 0 ? 'can run' : facts.join('; ')];
}
