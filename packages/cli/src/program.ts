import { Command, CommanderError } from 'commander';
import { balanceCommand } from './commands/balance.js';
import { benchCommand } from './commands/bench/bench.js';
import { chatCommand } from './commands/chat/chat.js';
import { configCommand } from './commands/config.js';
import { completionCommand } from './commands/completion/completion.js';
import { doctorCommand } from './commands/doctor.js';
import { generateCommand } from './commands/generate.js';
import { makeModelCommand } from './commands/make-model.js';
import { planCommand } from './commands/plan/plan.js';
import { profileCommand } from './commands/profile.js';
import { quantizeCommand } from './commands/quantize.js';
import { serveCommand } from './commands/serve.js';
import { simulateCommand } from './commands/simulate/simulate.js';
import { pipelineCommand, traceCommand } from './commands/trace.js';
import { whyCommand } from './commands/why.js';
import { paint } from './output/colors.js';
import { readVersion } from './output/read-version.js';
import { reportError } from './output/report-error.js';
import { UsageError } from './output/usage-error.js';
import type { CliWorld } from './world.js';

/** Columns; the same on every terminal and in a pipe. */
const helpWidth = 100;

/** The commands as the help lists them: by what a user wants to do. */
const groups = {
  'Serve, chat and generate:': [serveCommand, chatCommand, generateCommand],
  'Plan and simulate:': [planCommand, simulateCommand, balanceCommand],
  'Measure:': [benchCommand, profileCommand, traceCommand, pipelineCommand, whyCommand],
  'Tools:': [makeModelCommand, quantizeCommand, doctorCommand, configCommand, completionCommand],
} as const;

const helpText = `
MODEL is a directory in Hugging Face layout: config.json, tokenizer.json, *.safetensors.
Results go to stdout, logs and errors to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage,
130 or 143 interrupted.

Environment:
  MEGASCALE_…        any option that a model runs by, as its flag: MEGASCALE_MAX_NUM_SEQS=64,
                     MEGASCALE_LOG_LEVEL=info. Flags precede variables, variables --config FILE.
  MEGASCALE_API_KEY  the key that serve asks for and chat sends, as --api-key
  NO_COLOR           no colours, whatever the terminal; FORCE_COLOR=1 keeps them in a pipe

Examples:
  megascale doctor
  megascale serve models/dictionary
  megascale serve MODEL --attention-workers 2 --expert-workers 2 --micro-batches 3
  megascale chat --url http://127.0.0.1:8000
  megascale generate MODEL --prompt 'Once upon a time' --max-tokens 64
  megascale make-model /tmp/random --experts 8 --layers 4
  megascale quantize MODEL /tmp/model-int4 --format int4
  megascale simulate mixtral-8x22b --requests-per-second 2
  source <(megascale completion bash)`;

/**
 * Runs one command line (without `node` and the script). Resolves to the exit code and never
 * rejects: it writes what went wrong to stderr, or to stdout with --json.
 */
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

/** Puts commander's own refusals into the form of every other error. */
function asUsageError(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  const message = error.message.replace(/^error: /, '');
  return new UsageError(
    error.code === 'commander.help' ? 'Name a command; see megascale --help.' : message,
  );
}

/** Builds the whole tree of commands with their flags. It runs nothing. */
export function createProgram(world: CliWorld): Command {
  const program = new Command('megascale')
    .description('Serves Mixture-of-Experts models with disaggregated expert parallelism.')
    .version(readVersion(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .exitOverride()
    // Flags after the name of a nested command belong to the nested command.
    .enablePositionalOptions()
    .configureOutput({
      writeOut: (text) => world.stdout.write(text),
      writeErr: (text) => world.stderr.write(text),
      getOutHelpWidth: () => helpWidth,
      getErrHelpWidth: () => helpWidth,
      getOutHasColors: () => world.stdout.hasColors === true,
      getErrHasColors: () => world.stderr.hasColors === true,
      // `reportError` writes errors, once and in one form.
      outputError: () => undefined,
    })
    // Commander removes the colours again where the stream has none.
    .configureHelp({
      styleTitle: (title) => paint({ hasColors: true, write: () => true }, 'bold', title),
    })
    .addHelpText('after', helpText);
  for (const [heading, commands] of Object.entries(groups)) {
    program.commandsGroup(heading);
    for (const create of commands) program.addCommand(inheritSettings(create(world), program));
  }
  return program.helpCommand('help [command]', 'Show the help of a command.');
}

/** Gives a command, and all commands in it, the parent's settings for output, help and exit. */
function inheritSettings(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent).helpOption('-h, --help', 'show this help');
  for (const nested of command.commands) inheritSettings(nested, command);
  return command;
}
