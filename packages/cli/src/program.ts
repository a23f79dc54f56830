import { Command, CommanderError } from 'commander';
import { balanceCommand } from './commands/balance.js';
import { benchCommand } from './commands/bench/bench.js';
import type { CliWorld } from './world.js';
import { doctorCommand } from './commands/doctor.js';
import { generateCommand } from './commands/generate.js';
import { makeModelCommand } from './commands/make-model.js';
import { planCommand } from './commands/plan/plan.js';
import { profileCommand } from './commands/profile.js';
import { quantizeCommand } from './commands/quantize.js';
import { reportError } from './output/report-error.js';
import { serveCommand } from './commands/serve.js';
import { simulateCommand } from './commands/simulate/simulate.js';
import { pipelineCommand, traceCommand } from './commands/trace.js';
import { readVersion } from './output/read-version.js';
import { UsageError } from './output/usage-error.js';
import { whyCommand } from './commands/why.js';

/** Columns; the same wherever the help is written to. */
const helpWidth = 100;

/** Runs one command line (without `node` and the script) and resolves to the exit code; never rejects. */
export async function runCli(words: readonly string[], world: CliWorld): Promise<number> {
  try {
    await createProgram(world).parseAsync([...words], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const json = words.includes('--json');
    return reportError(asUsageError(error), json, world);
  }
}

/** Commander's own refusals, in the form of every other error. */
function asUsageError(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  const message = error.message.replace(/^error: /, '');
  return new UsageError(
    error.code === 'commander.help' ? 'Name a command; see megascale --help.' : message,
  );
}

function createProgram(world: CliWorld): Command {
  const program = new Command('megascale')
    .description('Serves Mixture-of-Experts models with disaggregated expert parallelism.')
    .version(readVersion(), '--version', 'print the version')
    .helpOption('--help', 'show this help')
    .exitOverride()
    // What follows the name of a nested command is for that one.
    .enablePositionalOptions()
    .configureOutput({
      writeOut: (text) => world.stdout.write(text),
      writeErr: (text) => world.stderr.write(text),
      getOutHelpWidth: () => helpWidth,
      getErrHelpWidth: () => helpWidth,
      // Written by `reportError`, once and in one form.
      outputError: () => undefined,
    })
    .addHelpText(
      'after',
      `
MODEL is a directory in Hugging Face layout: config.json, tokenizer.json, *.safetensors.
Results go to stdout, logs and errors to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

Environment:
  MEGASCALE_LOG      level of the log, as --log-level
  MEGASCALE_API_KEY  the key clients must send, as --api-key of serve

Examples:
  megascale doctor
  megascale serve models/dictionary
  megascale serve MODEL --attention-workers 2 --expert-workers 2 --micro-batches 3
  megascale generate MODEL --prompt 'Once upon a time' --max-tokens 64
  megascale make-model /tmp/random --experts 8 --layers 4
  megascale quantize MODEL /tmp/model-int4 --format int4
  megascale simulate mixtral-8x22b --requests-per-second 2`,
    );
  const commands = [
    serveCommand,
    generateCommand,
    makeModelCommand,
    quantizeCommand,
    benchCommand,
    planCommand,
    simulateCommand,
    profileCommand,
    balanceCommand,
    whyCommand,
    traceCommand,
    pipelineCommand,
    doctorCommand,
  ];
  for (const create of commands) {
    program.addCommand(alike(create(world), program));
  }
  return program.helpCommand('help [command]', 'show the help of a command');
}

/** With the parent's ways of writing and ending, and so all its own commands. */
function alike(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent).helpOption('--help', 'show this help');
  for (const nested of command.commands) alike(nested, command);
  return command;
}
